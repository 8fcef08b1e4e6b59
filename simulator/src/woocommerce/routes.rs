//! The routes the shop knows, matched without regard to case.

/// A route with the ids in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    Index,
    Namespace,
    Orders,
    OrdersBatch,
    OrderStatuses,
    Order(u64),
    OrderNotes(u64),
    OrderNote(u64, u64),
    OrderRefunds(u64),
    OrderRefund(u64, u64),
    Refunds,
    Products,
    ProductsBatch,
    Product(u64),
    Variations(u64),
    VariationsBatch(u64),
    Variation(u64, u64),
    Customers,
    CustomersBatch,
    Customer(u64),
    Coupons,
    CouponsBatch,
    Coupon(u64),
    Taxes,
    Tax(u64),
    TaxClasses,
    Categories,
    Category(u64),
    Attributes,
    Attribute(u64),
    SettingGroups,
    Settings(String),
    Setting(String, String),
    SystemStatus,
    CurrentCurrency,
    Webhooks,
    WebhooksBatch,
    Webhook(u64),
    OrderTotals,
    /// Served as recorded, read-only.
    Fixed(&'static str),
}

const WRITES: &str = "GET, POST, PUT, PATCH, DELETE";
const BATCH: &str = "POST, PUT, PATCH";

impl Route {
    /// Matches the part of the path after `/wp-json`.
    pub fn parse(path: &str) -> Option<Route> {
        let lower = path.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').filter(|part| !part.is_empty()).collect();
        let rest = match parts.as_slice() {
            [] => return Some(Route::Index),
            ["wc", "v3"] => return Some(Route::Namespace),
            ["wc", "v3", rest @ ..] => rest,
            _ => return None,
        };
        let id = |text: &str| text.parse::<u64>().ok();
        Some(match rest {
            ["orders"] => Route::Orders,
            ["orders", "batch"] => Route::OrdersBatch,
            ["orders", "statuses"] => Route::OrderStatuses,
            ["orders", a] => Route::Order(id(a)?),
            ["orders", a, "notes"] => Route::OrderNotes(id(a)?),
            ["orders", a, "notes", b] => Route::OrderNote(id(a)?, id(b)?),
            ["orders", a, "refunds"] => Route::OrderRefunds(id(a)?),
            ["orders", a, "refunds", b] => Route::OrderRefund(id(a)?, id(b)?),
            ["refunds"] => Route::Refunds,
            ["products"] => Route::Products,
            ["products", "batch"] => Route::ProductsBatch,
            ["products", "categories"] => Route::Categories,
            ["products", "categories", a] => Route::Category(id(a)?),
            ["products", "attributes"] => Route::Attributes,
            ["products", "attributes", a] => Route::Attribute(id(a)?),
            ["products", a] => Route::Product(id(a)?),
            ["products", a, "variations"] => Route::Variations(id(a)?),
            ["products", a, "variations", "batch"] => Route::VariationsBatch(id(a)?),
            ["products", a, "variations", b] => Route::Variation(id(a)?, id(b)?),
            ["customers"] => Route::Customers,
            ["customers", "batch"] => Route::CustomersBatch,
            ["customers", a] => Route::Customer(id(a)?),
            ["coupons"] => Route::Coupons,
            ["coupons", "batch"] => Route::CouponsBatch,
            ["coupons", a] => Route::Coupon(id(a)?),
            ["taxes"] => Route::Taxes,
            ["taxes", "classes"] => Route::TaxClasses,
            ["taxes", a] => Route::Tax(id(a)?),
            ["settings"] => Route::SettingGroups,
            ["settings", group] => Route::Settings((*group).to_owned()),
            ["settings", group, one] => Route::Setting((*group).to_owned(), (*one).to_owned()),
            ["system_status"] => Route::SystemStatus,
            ["data", "currencies", "current"] => Route::CurrentCurrency,
            ["webhooks"] => Route::Webhooks,
            ["webhooks", "batch"] => Route::WebhooksBatch,
            ["webhooks", a] => Route::Webhook(id(a)?),
            ["reports", "orders", "totals"] => Route::OrderTotals,
            ["payment_gateways"] => Route::Fixed("payment_gateways"),
            ["shipping", "zones"] => Route::Fixed("shipping/zones"),
            _ => return None,
        })
    }

    /// With placeholders for ids, as calls are counted.
    pub fn template(&self) -> String {
        use Route::*;
        let path = match self {
            Index => return "/wp-json".into(),
            Namespace => return "/wp-json/wc/v3".into(),
            Orders => "orders",
            OrdersBatch => "orders/batch",
            OrderStatuses => "orders/statuses",
            Order(_) => "orders/{id}",
            OrderNotes(_) => "orders/{id}/notes",
            OrderNote(..) => "orders/{id}/notes/{id}",
            OrderRefunds(_) => "orders/{id}/refunds",
            OrderRefund(..) => "orders/{id}/refunds/{id}",
            Refunds => "refunds",
            Products => "products",
            ProductsBatch => "products/batch",
            Product(_) => "products/{id}",
            Variations(_) => "products/{id}/variations",
            VariationsBatch(_) => "products/{id}/variations/batch",
            Variation(..) => "products/{id}/variations/{id}",
            Customers => "customers",
            CustomersBatch => "customers/batch",
            Customer(_) => "customers/{id}",
            Coupons => "coupons",
            CouponsBatch => "coupons/batch",
            Coupon(_) => "coupons/{id}",
            Taxes => "taxes",
            Tax(_) => "taxes/{id}",
            TaxClasses => "taxes/classes",
            Categories => "products/categories",
            Category(_) => "products/categories/{id}",
            Attributes => "products/attributes",
            Attribute(_) => "products/attributes/{id}",
            SettingGroups => "settings",
            Settings(_) => "settings/{group}",
            Setting(..) => "settings/{group}/{id}",
            SystemStatus => "system_status",
            CurrentCurrency => "data/currencies/current",
            Webhooks => "webhooks",
            WebhooksBatch => "webhooks/batch",
            Webhook(_) => "webhooks/{id}",
            OrderTotals => "reports/orders/totals",
            Fixed(path) => path,
        };
        format!("/wp-json/wc/v3/{path}")
    }

    /// The methods of the route, as the `Allow` header lists them.
    pub fn allow(&self) -> &'static str {
        use Route::*;
        match self {
            Orders | OrderNotes(_) | OrderRefunds(_) | Products | Variations(_) | Customers
            | Coupons | Taxes | Webhooks => "GET, POST",
            Order(_) | Product(_) | Variation(..) | Customer(_) | Coupon(_) | Webhook(_) => WRITES,
            // Only reading and deleting are built; the header says what a shop would.
            Tax(_) | Category(_) | Attribute(_) => WRITES,
            OrdersBatch | ProductsBatch | VariationsBatch(_) | CustomersBatch | CouponsBatch
            | WebhooksBatch => BATCH,
            OrderNote(..) | OrderRefund(..) => "GET, DELETE",
            Setting(..) => "GET, POST, PUT, PATCH",
            Categories | Attributes | TaxClasses => "GET, POST",
            _ => "GET",
        }
    }

    /// Does the route have this method? HEAD goes with GET.
    pub fn takes(&self, method: &str) -> bool {
        let method = if method == "HEAD" { "GET" } else { method };
        self.allow().split(", ").any(|m| m == method)
    }

    /// Is it one of the `/batch` routes?
    pub fn is_batch(&self) -> bool {
        self.allow() == BATCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn route_names_have_no_case() {
        assert_eq!(Route::parse("/WC/v3/Orders/7/"), Some(Route::Order(7)));
        assert_eq!(Route::parse("/wc/v3/variations"), None);
        assert_eq!(Route::parse("/wc/v3/products/variations"), None);
        assert_eq!(Route::parse("/wc/v3/orders/7/refunds/8"), Some(Route::OrderRefund(7, 8)));
    }
}
