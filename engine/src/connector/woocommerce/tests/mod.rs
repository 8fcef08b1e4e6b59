//! What is said of WooCommerce in `woocommerce.md`, held to recorded answers of a real shop.

mod checks;
mod fixtures;
mod live;
mod mapping;
mod queries;
mod refusals;
mod server;
mod settings;
mod shop;
