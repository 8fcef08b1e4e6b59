//! Items in the books: by link, then by SKU where it is unique on both sides, else a new one
//! (posting policy, Items; quickbooks.md, 4.2).

use super::company::{Company, Item};
use super::input::Product;
use super::money;
use super::reason::Reason;
use super::settings::{Inventory, Settings};
use super::text;
use serde_json::{Map, Value, json};

/// `Item.Name` holds no more.
pub const MAX_NAME: usize = 100;

/// What a product becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This item: its id.
    Item(String),
    /// A new one with this body.
    Create(Value),
}

/// Whether a product is an item on its own: parents, grouped and external products are sold by
/// their variations, members or elsewhere.
pub fn is_item(product: &Product, sold: bool) -> bool {
    sold || !matches!(product.kind.as_str(), "variable" | "grouped" | "external")
}

/// Finds or makes the item of a product without a link. `same_sku` counts the hub's products with
/// its SKU, this one included; `candidates` are the company's items with that SKU.
pub fn resolve(
    product: &Product,
    same_sku: usize,
    candidates: &[Item],
    settings: &Settings,
    company: &Company,
) -> Result<Found, Reason> {
    let sku = product.sku.as_deref().map(str::trim).unwrap_or_default();
    let same = |item: &&Item| {
        item.item_type != "Category" && item.sku.as_deref().map(str::trim) == Some(sku)
    };
    let theirs: Vec<&Item> = candidates.iter().filter(same).collect();
    if let ([one], false, 1) = (&theirs[..], sku.is_empty(), same_sku) {
        if !one.active {
            return Err(Reason::new(
                "inactive_item",
                format!("product {}: the item with its SKU is inactive in QuickBooks", product.id),
                "Make the item active again, or give one of the two another SKU.",
            ));
        }
        let counts = one.item_type == "Inventory";
        match settings.inventory {
            // Each sale would move a stock that the shop counts, too.
            Inventory::Shop if counts => return Err(counted_twice(product, one)),
            Inventory::Books if product.track_stock && !counts => {}
            _ => return Ok(Found::Item(one.id.clone())),
        }
    }
    if settings.inventory == Inventory::Books && product.track_stock {
        return Err(Reason::new(
            "no_inventory_item",
            format!("product {} has no inventory item in QuickBooks with its SKU", product.id),
            "Make the inventory item in QuickBooks with the same SKU: it needs accounts, a count and \
             a start date.",
        ));
    }
    create(product, settings, company).map(Found::Create)
}

fn counted_twice(product: &Product, item: &Item) -> Reason {
    Reason::new(
        "counted_twice",
        format!(
            "product {}: its item \"{}\" in QuickBooks counts stock, and `inventory` says that the \
             shop does",
            product.id, item.name
        ),
        "Set inventory to books, or give one of the two another SKU.",
    )
}

/// `Name (WC 123)`: names are unique in QuickBooks, and not in a shop. `QtyOnHand` is never written.
fn create(product: &Product, settings: &Settings, company: &Company) -> Result<Value, Reason> {
    let name = settings.income_account.as_deref().unwrap_or_default();
    let account = company.account(name).filter(|account| account.active).ok_or_else(|| {
        Reason::new(
            "missing_in_books",
            format!("income_account: no active account \"{name}\" in QuickBooks"),
            "Set income_account to an income account.",
        )
    })?;
    let id = product
        .source_id
        .clone()
        .map_or_else(|| format!(" (hub {})", product.id), |id| format!(" (WC {id})"));
    let mut body = Map::new();
    body.insert("Name".into(), json!(text::name_with(&product.name, &id, MAX_NAME)));
    let sku = product.sku.as_deref().map(|sku| text::line(sku, 100)).unwrap_or_default();
    if !sku.is_empty() {
        body.insert("Sku".into(), json!(sku));
    }
    let kind = if product.kind == "service" { "Service" } else { "NonInventory" };
    body.insert("Type".into(), json!(kind));
    body.insert("IncomeAccountRef".into(), json!({"value": account.id}));
    // A price in another currency than the company's would be taken for the company's.
    let home = product.currency.as_deref().is_none_or(|c| c == company.home_currency);
    if let Some(price) = product.price.filter(|price| home && !price.is_sign_negative()) {
        body.insert("UnitPrice".into(), money::exact_json(price));
    }
    Ok(Value::Object(body))
}
