//! Every key of a QuickBooks connection's settings: its form, default and meaning. The check, the
//! published JSON schema and the documentation are made from this one table.

/// The form of a value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text of 1 to so many characters.
    Text(usize),
    /// Text of 0 to so many characters.
    Blank(usize),
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `YYYY-MM-DD`
    Date,
    /// A name of the IANA time zone database.
    Zone,
    /// `https://...`
    Url,
    /// A whole number between two.
    Whole(i64, i64),
    /// A decimal greater than zero, as a number or a text.
    Positive,
    List(&'static Kind),
    /// An object with free keys.
    Map(&'static Kind),
    /// Text of 1 to so many characters, or an object.
    Or(&'static Kind, &'static Kind),
    Object(&'static [Key]),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As JSON; `null`: none.
    pub default: &'static str,
    /// Nothing is posted without it.
    pub required: bool,
    pub doc: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, required: false, doc }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: "null", required: true, doc }
}

/// Names in QuickBooks: 100 characters and as many for each of its parents.
const NAME: Kind = Kind::Text(500);
const STANDARD: Kind = Kind::Word(&[
    "pending",
    "on-hold",
    "processing",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "checkout-draft",
]);
const UNPAID: Kind = Kind::Word(&["skip", "invoice"]);

static POST: &[Key] = &[
    key("pending_unpaid", UNPAID, "\"skip\"", "Orders that wait for payment: none, or an Invoice."),
    key(
        "on_hold_unpaid",
        Kind::Or(&UNPAID, &Kind::Map(&UNPAID)),
        "\"skip\"",
        "Unpaid orders on hold: none, or an Invoice; or an object by payment method with `default`.",
    ),
    key(
        "statuses",
        Kind::Map(&STANDARD),
        "{}",
        "A plugin's own order statuses, each as one of the standard ones.",
    ),
];

static TAX_TARGET: &[Key] = &[
    key("code", NAME, "null", "Tax code of the company (outside the US)."),
    key("item", NAME, "null", "Item on a liability account that the tax is put on."),
];

static TAX: &[Key] = &[
    key(
        "rates",
        Kind::Map(&Kind::Or(&Kind::Word(&["sales_tax"]), &Kind::Object(TAX_TARGET))),
        "{}",
        "Where each tax rate of the shop goes: `{\"code\": ...}`, `{\"item\": ...}` or `\"sales_tax\"`. \
         Keys are a rate's id or code, a country (`GB`), or `*`.",
    ),
    key("zero_code", NAME, "null", "Code of lines without tax; required outside the US."),
    key(
        "own",
        Kind::List(&Kind::Text(2)),
        "null",
        "Countries whose tax is the company's own sales tax (US only); none given: the company's.",
    ),
    key(
        "sales_tax_item",
        NAME,
        "null",
        "Item on a liability account for own tax where sales tax is switched off in the company.",
    ),
    key(
        "unmapped",
        Kind::Word(&["fail", "sales_tax"]),
        "\"fail\"",
        "Tax of a rate that nothing maps: fail, or own sales tax (US only).",
    ),
];

static GIFT_CARDS: &[Key] = &[
    key("products", Kind::List(&Kind::Text(200)), "[]", "SKUs of products that are gift cards."),
    key(
        "coupons",
        Kind::List(&Kind::Text(200)),
        "[]",
        "Coupon codes, `*` at the end for any rest.",
    ),
    key("fees", Kind::List(&Kind::Text(200)), "[]", "Names of fees, `*` at the end for any rest."),
];

static DEPOSITS: Kind = Kind::Map(&Kind::Or(&NAME, &Kind::Map(&NAME)));

static CUSTOM_FIELD: Kind = Kind::Word(&[
    "number",
    "source_id",
    "payment_method",
    "payment_method_title",
    "transaction_id",
    "email",
    "status",
    "created_via",
    "coupons",
    "customer_note",
]);

static CUSTOM_FIELDS: &[Key] = &[
    key("1", CUSTOM_FIELD, "null", "What the first custom field of sales forms holds."),
    key("2", CUSTOM_FIELD, "null", "The second."),
    key("3", CUSTOM_FIELD, "null", "The third."),
];

/// All keys, in the order in which they are documented.
pub static KEYS: &[Key] = &[
    required(
        "environment",
        Kind::Word(&["production", "sandbox"]),
        "Which of Intuit's systems the company lives on.",
    ),
    key("api_url", Kind::Url, "null", "Another address of the API; for listed private hosts only."),
    key("oauth_url", Kind::Url, "null", "Another address of the token service; likewise."),
    key("read_budget", Kind::Whole(0, 1_000_000_000), "500000", "Metered reads of a month."),
    required("time_zone", Kind::Zone, "The company's time zone: it dates every document."),
    required(
        "start_date",
        Kind::Date,
        "Orders dated before are skipped; after the books' closing.",
    ),
    key("document_prefix", Kind::Blank(15), "\"WC-\"", "Stands before the order number."),
    key(
        "adopt",
        Kind::Bool,
        "false",
        "Look for a document of the same number before an order is first posted, and link it.",
    ),
    key("post", Kind::Object(POST), "{}", "Which orders are posted, beyond the paid ones."),
    key(
        "sales_document",
        Kind::Word(&["auto", "invoice"]),
        "\"auto\"",
        "Paid orders as SalesReceipt, or always as Invoice with Payment.",
    ),
    key(
        "txn_date",
        Kind::Word(&["paid", "created", "completed"]),
        "\"paid\"",
        "What dates a SalesReceipt.",
    ),
    key(
        "closed_period",
        Kind::Word(&["hold", "first_open_day"]),
        "\"hold\"",
        "Documents that fall in closed books: held back, or dated on the first open day.",
    ),
    key(
        "cancel_unpaid",
        Kind::Word(&["auto", "void", "credit_memo", "attention"]),
        "\"auto\"",
        "The Invoice of an order that is cancelled unpaid: void in the US, CreditMemo elsewhere.",
    ),
    key(
        "discounts",
        Kind::Word(&["item_lines", "net", "discount_line"]),
        "\"item_lines\"",
        "Coupons as lines on the coupon item, taken off the lines, or as QuickBooks's discount.",
    ),
    key("tax", Kind::Object(TAX), "{}", "What becomes of the tax that was collected."),
    key(
        "refund_tax",
        Kind::Word(&["prorata", "none"]),
        "\"prorata\"",
        "Tax in a refund that names an amount only: in proportion, or none.",
    ),
    key("coupon_item", NAME, "\"Coupons\"", "Item of coupon lines."),
    key("shipping_item", NAME, "\"Shipping\"", "Item of shipping lines."),
    key("fee_item", NAME, "\"Fees\"", "Item of fee lines."),
    key(
        "rounding_item",
        NAME,
        "\"Rounding\"",
        "Item of the line that takes a rounding difference.",
    ),
    key("refund_item", NAME, "\"Refunds\"", "Item of refunds that name an amount only."),
    key("unmatched_item", NAME, "\"Unmatched product\"", "Item of lines without a product."),
    key("gift_cards", Kind::Object(GIFT_CARDS), "{}", "What is a gift card, sold or redeemed."),
    key("gift_card_item", NAME, "\"Gift cards\"", "Item of gift cards, on `gift_card_account`."),
    key("gift_card_account", NAME, "null", "Liability account of gift cards."),
    required("income_account", NAME, "Income account of items that are made."),
    required(
        "deposit_accounts",
        DEPOSITS,
        "Where money goes: an account by payment method, or an object by currency; `default` is required.",
    ),
    key(
        "payment_methods",
        Kind::Map(&Kind::Text(31)),
        "{}",
        "Payment method of QuickBooks for each of the shop's.",
    ),
    key("web_customer", NAME, "null", "Customer of orders without anybody, and of shared guests."),
    key(
        "guests",
        Kind::Word(&["by_email", "shared"]),
        "\"by_email\"",
        "Guests as customers of their own, or all as `web_customer`.",
    ),
    key(
        "exchange_rate",
        Kind::Word(&["quickbooks", "fixed"]),
        "\"quickbooks\"",
        "Rates of foreign documents: QuickBooks's of the day, or those given.",
    ),
    key(
        "exchange_rates",
        Kind::Map(&Kind::Positive),
        "{}",
        "Home currency for one unit, by currency; with `exchange_rate` = `fixed`.",
    ),
    key(
        "inventory",
        Kind::Word(&["shop", "books"]),
        "\"shop\"",
        "Who counts stock: the shop (items are NonInventory), or the books (documents move it).",
    ),
    key("terms", NAME, "null", "Terms of Invoices; they set the due date."),
    key("custom_fields", Kind::Object(CUSTOM_FIELDS), "{}", "Custom fields of sales forms."),
];
