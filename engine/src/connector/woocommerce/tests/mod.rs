//! What is said of WooCommerce in `woocommerce.md`, held to recorded answers of a real shop.

mod by_id;
mod checks;
mod fixtures;
mod half_written;
mod live;
mod mapping;
mod queries;
mod refusals;
mod server;
mod settings;
mod shop;
