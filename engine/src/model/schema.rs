//! The hub tables as the engine fills them (sql-surface.md, section 6), without the columns that
//! the store itself owns (`tenant_id`, `id`, `source_connection`, foreign keys to the parent).

use super::Entity;

/// How a cell of a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    /// `numeric`: money and quantities.
    Decimal,
    Int,
    Bool,
    /// `timestamptz`
    Time,
    Date,
    /// `jsonb`
    Json,
    /// `bigint` id of a hub row of that entity, resolved by the store from its remote id.
    Ref(Entity),
    /// `bigint` id of an order line, resolved by the store from its remote id.
    LineRef,
}

#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    pub not_null: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableId {
    Customers,
    Products,
    Orders,
    OrderLines,
    Refunds,
    RefundLines,
    Invoices,
    Payments,
    Vendors,
    Bills,
}

impl TableId {
    /// Every table of the hub.
    pub const ALL: [TableId; 10] = [
        TableId::Customers,
        TableId::Products,
        TableId::Orders,
        TableId::OrderLines,
        TableId::Refunds,
        TableId::RefundLines,
        TableId::Invoices,
        TableId::Payments,
        TableId::Vendors,
        TableId::Bills,
    ];
}

/// One hub table: its columns in the order in which a [`super::Row`] holds its cells.
#[derive(Debug)]
pub struct Table {
    pub id: TableId,
    pub name: &'static str,
    pub columns: &'static [Column],
    /// The column that ties a line to its document, for tables of lines.
    pub parent_column: Option<&'static str>,
}

impl Table {
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

const fn col(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind, not_null: false }
}

const fn req(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind, not_null: true }
}

use ColumnKind::{Bool, Date, Decimal, Int, Json, LineRef, Ref, Text, Time};

static CUSTOMERS: Table = Table {
    id: TableId::Customers,
    name: "customers",
    parent_column: None,
    columns: &[
        col("email", Text),
        req("display_name", Text),
        col("given_name", Text),
        col("family_name", Text),
        col("company", Text),
        col("phone", Text),
        col("billing_address", Json),
        col("shipping_address", Json),
        col("currency", Text),
        req("is_guest", Bool),
        req("active", Bool),
        col("notes", Text),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static PRODUCTS: Table = Table {
    id: TableId::Products,
    name: "products",
    parent_column: None,
    columns: &[
        col("parent_id", Ref(Entity::Products)),
        req("kind", Text),
        col("sku", Text),
        req("name", Text),
        col("description", Text),
        req("status", Text),
        col("price", Decimal),
        col("regular_price", Decimal),
        col("sale_price", Decimal),
        col("cost", Decimal),
        col("currency", Text),
        req("taxable", Bool),
        col("tax_class", Text),
        req("track_stock", Bool),
        col("stock_quantity", Decimal),
        req("active", Bool),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static ORDERS: Table = Table {
    id: TableId::Orders,
    name: "orders",
    parent_column: None,
    columns: &[
        req("number", Text),
        req("status", Text),
        req("currency", Text),
        col("customer_id", Ref(Entity::Customers)),
        col("email", Text),
        req("subtotal", Decimal),
        req("discount_total", Decimal),
        req("shipping_total", Decimal),
        req("fee_total", Decimal),
        req("total_tax", Decimal),
        req("total", Decimal),
        req("refunded_total", Decimal),
        req("prices_include_tax", Bool),
        col("payment_method", Text),
        col("transaction_id", Text),
        col("paid_at", Time),
        col("completed_at", Time),
        col("customer_note", Text),
        col("billing_address", Json),
        col("shipping_address", Json),
        req("shipping_lines", Json),
        req("fee_lines", Json),
        req("coupon_lines", Json),
        req("tax_lines", Json),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static ORDER_LINES: Table = Table {
    id: TableId::OrderLines,
    name: "order_lines",
    parent_column: Some("order_id"),
    columns: &[
        req("line_number", Int),
        col("product_id", Ref(Entity::Products)),
        col("sku", Text),
        req("name", Text),
        req("quantity", Decimal),
        col("unit_price", Decimal),
        req("subtotal", Decimal),
        req("total", Decimal),
        req("total_tax", Decimal),
        col("tax_class", Text),
        req("taxes", Json),
        req("attributes", Json),
        col("source_id", Text),
    ],
};

static REFUNDS: Table = Table {
    id: TableId::Refunds,
    name: "refunds",
    parent_column: None,
    columns: &[
        req("order_id", Ref(Entity::Orders)),
        col("number", Text),
        req("currency", Text),
        req("amount", Decimal),
        col("total_tax", Decimal),
        col("reason", Text),
        col("refunded_by", Text),
        col("payment_returned", Bool),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static REFUND_LINES: Table = Table {
    id: TableId::RefundLines,
    name: "refund_lines",
    parent_column: Some("refund_id"),
    columns: &[
        col("order_line_id", LineRef),
        req("kind", Text),
        col("product_id", Ref(Entity::Products)),
        req("quantity", Decimal),
        req("total", Decimal),
        req("total_tax", Decimal),
        req("attributes", Json),
        col("source_id", Text),
    ],
};

static INVOICES: Table = Table {
    id: TableId::Invoices,
    name: "invoices",
    parent_column: None,
    columns: &[
        col("number", Text),
        col("customer_id", Ref(Entity::Customers)),
        col("order_id", Ref(Entity::Orders)),
        req("status", Text),
        req("currency", Text),
        req("issued_on", Date),
        col("due_on", Date),
        req("total_tax", Decimal),
        req("total", Decimal),
        req("balance", Decimal),
        req("lines", Json),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static PAYMENTS: Table = Table {
    id: TableId::Payments,
    name: "payments",
    parent_column: None,
    columns: &[
        col("order_id", Ref(Entity::Orders)),
        col("invoice_id", Ref(Entity::Invoices)),
        col("customer_id", Ref(Entity::Customers)),
        req("currency", Text),
        req("amount", Decimal),
        req("unapplied_amount", Decimal),
        col("method", Text),
        col("reference", Text),
        req("status", Text),
        req("paid_at", Time),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static VENDORS: Table = Table {
    id: TableId::Vendors,
    name: "vendors",
    parent_column: None,
    columns: &[
        req("display_name", Text),
        col("email", Text),
        col("company", Text),
        col("phone", Text),
        col("address", Json),
        col("account_number", Text),
        col("currency", Text),
        req("active", Bool),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

static BILLS: Table = Table {
    id: TableId::Bills,
    name: "bills",
    parent_column: None,
    columns: &[
        req("vendor_id", Ref(Entity::Vendors)),
        col("number", Text),
        req("status", Text),
        req("currency", Text),
        req("billed_on", Date),
        col("due_on", Date),
        req("total_tax", Decimal),
        req("total", Decimal),
        req("balance", Decimal),
        req("lines", Json),
        col("memo", Text),
        req("attributes", Json),
        col("source_id", Text),
        req("created_at", Time),
        req("modified_at", Time),
        col("deleted_at", Time),
    ],
};

impl TableId {
    pub fn table(self) -> &'static Table {
        match self {
            TableId::Customers => &CUSTOMERS,
            TableId::Products => &PRODUCTS,
            TableId::Orders => &ORDERS,
            TableId::OrderLines => &ORDER_LINES,
            TableId::Refunds => &REFUNDS,
            TableId::RefundLines => &REFUND_LINES,
            TableId::Invoices => &INVOICES,
            TableId::Payments => &PAYMENTS,
            TableId::Vendors => &VENDORS,
            TableId::Bills => &BILLS,
        }
    }

    /// The table of an entity's documents, and that of their lines.
    pub fn of(entity: Entity) -> Option<(TableId, Option<TableId>)> {
        match entity {
            Entity::Customers => Some((TableId::Customers, None)),
            Entity::Products => Some((TableId::Products, None)),
            Entity::Orders => Some((TableId::Orders, Some(TableId::OrderLines))),
            Entity::Refunds => Some((TableId::Refunds, Some(TableId::RefundLines))),
            Entity::Invoices => Some((TableId::Invoices, None)),
            Entity::Payments => Some((TableId::Payments, None)),
            Entity::Vendors => Some((TableId::Vendors, None)),
            Entity::Bills => Some((TableId::Bills, None)),
        }
    }
}
