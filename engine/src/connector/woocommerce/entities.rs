//! What WooCommerce's records become in the hub. Knows no HTTP: JSON in, [`Record`] out.

use super::defaults::Programs;
use crate::error::{Category, Error};
use crate::limits::{self, Excess};
use crate::mapping::{Context, FieldError, Mapped, Program};
use crate::model::{Cell, Entity, Presence, Record, RecordFailure, Related};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Statuses of what isn't a record yet: a cart at the checkout, an editor's empty form.
const DRAFTS: [&str; 2] = ["checkout-draft", "auto-draft"];

/// The fields that decide how a record is read; each may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Head<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    number: Option<&'a RawValue>,
    #[serde(borrow)]
    customer_id: Option<&'a RawValue>,
    #[serde(borrow)]
    billing: Option<&'a RawValue>,
    #[serde(borrow)]
    refunds: Option<&'a RawValue>,
    #[serde(borrow)]
    variations: Option<&'a RawValue>,
    #[serde(borrow)]
    date_modified_gmt: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    /// Reads what there is; garbage has no head.
    pub fn of(raw: &'a RawValue) -> Head<'a> {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    /// The record's id. WooCommerce's ids begin with 1.
    pub fn id(&self) -> Option<i64> {
        number(self.id)
    }

    pub fn parent_id(&self) -> Option<i64> {
        number(self.parent_id)
    }

    pub fn is_variation(&self) -> bool {
        self.kind.is_some_and(|kind| kind.get() == "\"variation\"")
    }

    /// Ids of the variations of a variable product.
    pub fn variations(&self) -> Vec<i64> {
        ids(self.variations)
    }

    /// In the trash, or in the ordinary lists.
    pub fn presence(&self) -> Presence {
        match self.status {
            Some(status) if status.get() == "\"trash\"" => Presence::Trashed,
            _ => Presence::Live,
        }
    }

    pub fn is_draft(&self) -> bool {
        self.status.is_some_and(|status| DRAFTS.contains(&status.get().trim_matches('"')))
    }

    /// UTC, without a suffix, as WooCommerce writes it.
    pub fn modified(&self) -> Option<jiff::Timestamp> {
        let naive: jiff::civil::DateTime = text(self.date_modified_gmt)?.parse().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(naive).ok()
    }

    /// `guest:<e-mail>` of an order without an account that has an e-mail.
    pub fn guest(&self) -> Option<String> {
        if number(self.customer_id).is_some() {
            return None;
        }
        #[derive(Deserialize)]
        struct Billing<'b> {
            #[serde(borrow)]
            email: Option<&'b RawValue>,
        }
        let billing: Billing<'_> = serde_json::from_str(self.billing?.get()).ok()?;
        let email = text(billing.email)?.trim().to_lowercase();
        (!email.is_empty()).then(|| format!("guest:{email}"))
    }

    /// None where the order doesn't say.
    fn refunds(&self) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Refund<'r> {
            #[serde(borrow)]
            id: Option<&'r RawValue>,
        }
        let refunds: Vec<Refund<'_>> = serde_json::from_str(self.refunds?.get()).ok()?;
        refunds.iter().map(|refund| Some(number(refund.id)?.to_string())).collect()
    }
}

/// A positive whole number, as a JSON number or a text.
fn number(raw: Option<&RawValue>) -> Option<i64> {
    raw?.get().trim_matches('"').parse().ok().filter(|id| *id > 0)
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str::<String>(raw?.get()).ok().filter(|text| !text.is_empty())
}

fn ids(raw: Option<&RawValue>) -> Vec<i64> {
    let Some(raw) = raw else { return vec![] };
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    list.into_iter().filter_map(|id| number(Some(id))).collect()
}

/// Maps a record that has an id of WooCommerce's; without one nobody could find it again.
fn identified(
    head: &Head<'_>,
    program: &Program,
    raw: &RawValue,
    context: &Context<'_>,
) -> Result<Mapped, Vec<FieldError>> {
    match head.id() {
        Some(_) => program.run(raw, context),
        None => Err(vec![FieldError {
            target: "id".into(),
            reason: "is no id of WooCommerce, a whole number from 1".into(),
        }]),
    }
}

/// An order, and the guest who placed it where there is one.
pub struct MappedOrder {
    pub order: Record,
    pub guest: Option<Record>,
}

/// Maps an order. Its guest comes along, made from the billing address.
pub fn order(
    programs: &Programs,
    raw: &RawValue,
    presence: Presence,
) -> Result<MappedOrder, Box<RecordFailure>> {
    order_with(programs, raw, &Head::of(raw), presence)
}

/// [`order`] whose head was read already.
pub fn order_with(
    programs: &Programs,
    raw: &RawValue,
    head: &Head<'_>,
    presence: Presence,
) -> Result<MappedOrder, Box<RecordFailure>> {
    let guest_id = head.guest();
    let texts: Vec<(&str, &str)> = guest_id.iter().map(|id| ("guest", id.as_str())).collect();
    let context = Context { texts: &texts, records: &[] };
    let fail = |errors| failure(Entity::Orders, "order", head, raw, errors);
    let mapped = identified(head, &programs.main, raw, &context).map_err(fail)?;
    let guest = match (&guest_id, &programs.along) {
        (Some(id), Some(program)) => {
            let guest = program.run(raw, &context).map_err(fail)?;
            let mut record =
                record(Entity::Customers, "guest", guest, Presence::Live, vec![], None);
            record.remote_id.clone_from(id);
            // Orders of one guest differ in names and addresses; the row stays as it was first
            // seen, so that walking the orders again writes nothing.
            record.keep_existing = true;
            Some(record)
        }
        _ => None,
    };
    // An order that doesn't name its refunds (a plugin cut them off) says nothing about them.
    let related = head.refunds().map(|ids| Related { entity: Entity::Refunds, remote_ids: ids });
    let related = related.into_iter().collect();
    let order = record(Entity::Orders, "order", mapped, presence, related, Some(raw));
    Ok(MappedOrder { order, guest })
}

/// Maps a registered customer.
pub fn customer(programs: &Programs, raw: &RawValue) -> Result<Record, Box<RecordFailure>> {
    let head = Head::of(raw);
    let mapped = identified(&head, &programs.main, raw, &Context::default())
        .map_err(|errors| failure(Entity::Customers, "customer", &head, raw, errors))?;
    Ok(record(Entity::Customers, "customer", mapped, Presence::Live, vec![], Some(raw)))
}

/// Maps a product. `currency` is the shop's.
pub fn product(
    programs: &Programs,
    raw: &RawValue,
    currency: &str,
    presence: Presence,
) -> Result<Record, Box<RecordFailure>> {
    let head = Head::of(raw);
    let texts = [("currency", currency)];
    let context = Context { texts: &texts, records: &[] };
    let mapped = identified(&head, &programs.main, raw, &context)
        .map_err(|errors| failure(Entity::Products, "product", &head, raw, errors))?;
    // A variation that was deleted leaves no other trace than its absence here.
    let remote_ids = head.variations().iter().map(i64::to_string).collect();
    let named = head.variations.is_some_and(|list| list.get().starts_with('['));
    let related = Related { entity: Entity::Products, remote_ids };
    let related = Some(related).filter(|_| named).into_iter().collect();
    Ok(record(Entity::Products, "product", mapped, presence, related, Some(raw)))
}

/// Maps a variation, as `/products/{id}/variations` gives it; it inherits from its parent.
pub fn variation(
    programs: &Programs,
    raw: &RawValue,
    parent: &RawValue,
    currency: &str,
    presence: Presence,
) -> Result<Record, Box<RecordFailure>> {
    let program: &Program = programs.along.as_ref().unwrap_or(&programs.main);
    let context = Context { texts: &[("currency", currency)], records: &[("parent", parent)] };
    let head = Head::of(raw);
    let mapped = identified(&head, program, raw, &context)
        .map_err(|errors| failure(Entity::Products, "variation", &head, raw, errors))?;
    Ok(record(Entity::Products, "variation", mapped, presence, vec![], Some(raw)))
}

/// What a refund doesn't say itself.
#[derive(Debug, Clone, Copy)]
pub struct RefundOf<'a> {
    /// Its order, where the list was asked for by order.
    pub order: Option<i64>,
    /// The order's currency; None: it couldn't be found out.
    pub currency: Option<&'a str>,
}

/// Maps a refund: amounts become positive.
pub fn refund(
    programs: &Programs,
    raw: &RawValue,
    of: RefundOf<'_>,
    presence: Presence,
) -> Result<Record, Box<RecordFailure>> {
    let order = of.order.map(|id| id.to_string());
    let tax = refunded_tax(raw).map(|tax| tax.to_string());
    let mut texts: Vec<(&str, &str)> = Vec::with_capacity(3);
    texts.extend(order.as_deref().map(|id| ("order", id)));
    texts.extend(of.currency.map(|currency| ("currency", currency)));
    texts.extend(tax.as_deref().map(|tax| ("refunded_tax", tax)));
    let (head, context) = (Head::of(raw), Context { texts: &texts, records: &[] });
    let mapped = identified(&head, &programs.main, raw, &context)
        .map_err(|errors| failure(Entity::Refunds, "refund", &head, raw, errors))?;
    Ok(record(Entity::Refunds, "refund", mapped, presence, vec![], Some(raw)))
}

/// The tax of a refund's lines, positive. None where it has no lines: an amount isn't split.
fn refunded_tax(raw: &RawValue) -> Option<Decimal> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Lists<'l> {
        #[serde(borrow)]
        line_items: Vec<Line<'l>>,
        #[serde(borrow)]
        shipping_lines: Vec<Line<'l>>,
        #[serde(borrow)]
        fee_lines: Vec<Line<'l>>,
    }
    #[derive(Deserialize)]
    struct Line<'l> {
        #[serde(borrow, default)]
        total_tax: Option<&'l RawValue>,
    }
    let lists: Lists<'_> = serde_json::from_str(raw.get()).ok()?;
    let lines: Vec<Line<'_>> =
        lists.line_items.into_iter().chain(lists.shipping_lines).chain(lists.fee_lines).collect();
    if lines.is_empty() {
        return None;
    }
    // A tax that is no number fails the line itself.
    let amounts = lines
        .iter()
        .filter_map(|line| crate::mapping::decimal(line.total_tax?.get().trim_matches('"')).ok());
    amounts.map(|tax| -tax).try_fold(Decimal::ZERO, |sum, tax| sum.checked_add(tax))
}

fn record(
    entity: Entity,
    remote_type: &'static str,
    mapped: Mapped,
    presence: Presence,
    related: Vec<Related>,
    raw: Option<&RawValue>,
) -> Record {
    let Mapped { mut row, lines } = mapped;
    if let Some(i) = row.table.table().column("deleted_at") {
        row.cells[i] = match presence {
            Presence::Live => Cell::Null,
            // Trashing moves the modified date of orders and products.
            Presence::Trashed => row.cell("modified_at").clone(),
        };
    }
    let remote_id = match row.cell("source_id") {
        Cell::Text(id) => id.clone(),
        _ => String::new(),
    };
    let label = Record::label_of(entity, &row, &remote_id);
    let hash = Record::content_hash(entity, presence, &row, &lines, &related);
    Record {
        entity,
        remote_id,
        remote_type,
        label,
        presence,
        row,
        lines,
        related,
        raw: raw.map(|raw| Arc::from(raw.get())),
        hash,
        keep_existing: false,
    }
}

/// Something that can't be a record's id.
pub fn no_id(entity: Entity, id: &str) -> RecordFailure {
    let what = super::lists::remote_type(entity);
    let shown = crate::mask::text(id);
    let error = Error::new(
        Category::Validation,
        "invalid_id",
        format!("\"{shown}\" is no id of a WooCommerce {what}"),
    )
    .hint("Ids are whole numbers, as source_id in the hub.");
    RecordFailure { entity, label: shown, remote_id: id.to_owned(), error, raw: None }
}

/// A record that the shop can't show: PHP dies on it, or what comes is no JSON.
pub fn unshowable(entity: Entity, id: i64, cause: &Error) -> RecordFailure {
    let what = super::lists::remote_type(entity);
    let error = Error::new(
        Category::Validation,
        "unreadable_record",
        format!("{what} {id} can't be read: {}", cause.message),
    )
    .retryable(true)
    .hint("Open it in the shop's admin pages: a plugin that fails on it is the usual cause.");
    RecordFailure { entity, label: id.to_string(), remote_id: id.to_string(), error, raw: None }
}

/// A record beyond what is taken of one; its JSON isn't kept.
pub fn oversized(entity: Entity, head: &Head<'_>, excess: Excess) -> RecordFailure {
    let what = super::lists::remote_type(entity);
    let id = head.id().map(|id| id.to_string());
    let named = id.as_deref().unwrap_or("without an id");
    let error = Error::new(
        Category::Validation,
        "record_too_large",
        format!("{what} {named} is not taken: it {excess}"),
    )
    .hint("Look at its custom fields (meta_data) in the shop: a plugin that keeps its own data there is the usual cause.");
    let remote_id = id.unwrap_or_default();
    RecordFailure { entity, label: remote_id.clone(), remote_id, error, raw: None }
}

/// A product with more variations than are taken of one.
pub fn too_many_variations(id: i64) -> RecordFailure {
    let error = Error::new(
        Category::Validation,
        "record_too_large",
        format!(
            "product {id} is not taken: its variations are larger than {} MiB",
            limits::ALONG_BYTES >> 20
        ),
    )
    .hint("Nobody has that many variations: look at the product in the shop.");
    let remote_id = id.to_string();
    RecordFailure {
        entity: Entity::Products,
        label: remote_id.clone(),
        remote_id,
        error,
        raw: None,
    }
}

/// The failure of one record; the others of its page land.
fn failure(
    entity: Entity,
    what: &str,
    head: &Head<'_>,
    raw: &RawValue,
    errors: Vec<FieldError>,
) -> Box<RecordFailure> {
    const SHOWN: usize = 5;
    let id = head.id().map(|id| id.to_string());
    let mut fields: Vec<String> =
        errors.iter().take(SHOWN).map(std::string::ToString::to_string).collect();
    if errors.len() > SHOWN {
        fields.push(format!("and {} more", errors.len() - SHOWN));
    }
    let error = Error::new(
        Category::Validation,
        "unreadable_record",
        format!("{what} {}: {}", id.as_deref().unwrap_or("without an id"), fields.join("; ")),
    )
    .hint(
        "Correct it in the shop, or give the field another rule with easysync.set_mapping; it is \
         tried again when it changes.",
    );
    Box::new(RecordFailure {
        entity,
        label: crate::mask::label(&text(head.number).or_else(|| id.clone()).unwrap_or_default()),
        remote_id: id.unwrap_or_default(),
        error,
        raw: Some(Arc::from(raw.get())),
    })
}
