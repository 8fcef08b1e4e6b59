//! What is said of WooCommerce in `woocommerce.md`, held to recorded answers of a real shop.

mod fixtures;
mod mapping;
mod shop;
