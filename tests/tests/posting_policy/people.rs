//! "Customers", "items", "currencies": who buys, and what is sold.

use crate::acts::*;
use crate::desk::{Act, Case, Group, case, nothing};
use crate::looks::tells;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

const PAID: &[&str] = &["SalesReceipt 20.00"];
const INACTIVE: &[&str] = &["needs_attention: inactive_item"];
const WAITS: &[&str] = &["skipped: waits for payment"];

pub fn groups() -> Vec<Group> {
    vec![
        Group { name: "people", preset: "us_single", settings: json!({}), cases: people() },
        Group { name: "goods", preset: "us_single", settings: json!({}), cases: goods() },
        Group { name: "euros", preset: "us", settings: json!({}), cases: euros() },
        Group {
            name: "unmapped",
            preset: "us_single",
            settings: json!({"tax": {"rates": {"1": "sales_tax", "2": "sales_tax"}}}),
            cases: unmapped(),
        },
        Group {
            name: "guests",
            preset: "us_single",
            settings: json!({"guests": "shared"}),
            cases: vec![
                case("a guest of a shop that shares one customer", order("completed", true), PAID)
                    .then(billed_to("Web customer"), PAID),
            ],
        },
    ]
}

fn of(name: &str, email: &str) -> Value {
    with(order("completed", true), json!({"billing": person(name, email, "WY", "US")}))
}

/// The receipt's customer is called that.
fn billed_to(name: &'static str) -> Act {
    Box::new(move |desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let billed = receipt["CustomerRef"]["name"].as_str().unwrap_or_default();
        ensure!(billed == name, "order {} is billed to {billed}, not {name}", order.id);
        Ok(())
    })
}

/// The receipt's customer has that address, and the name that the order has.
fn billed_at(email: &'static str) -> Act {
    Box::new(move |desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let id = receipt["CustomerRef"]["value"].as_str().context("a customer")?;
        let customer = desk.books.get(desk.bed, &format!("records/Customer/{id}"))?;
        ensure!(customer["PrimaryEmailAddr"]["Address"] == email, "{customer}");
        let name = customer["DisplayName"].as_str().unwrap_or_default();
        ensure!(name.starts_with("Sam Lee"), "{customer}");
        Ok(())
    })
}

/// A customer that somebody made there.
fn knows(name: &'static str, email: &'static str) -> Act {
    Box::new(move |desk, _| {
        let set = json!({"DisplayName": name, "PrimaryEmailAddr": {"Address": email}});
        desk.books.act(desk.bed, "create", &json!({"entity": "Customer", "set": set})).map(drop)
    })
}

fn people() -> Vec<Case> {
    let nobody = json!({"billing": {"country": "US", "state": "WY"}});
    let vendor: Act = Box::new(|desk, _| {
        let set = json!({"DisplayName": "Vera Lee"});
        desk.books.act(desk.bed, "create", &json!({"entity": "Vendor", "set": set})).map(drop)
    });
    let renamed: Act = Box::new(|desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let name = receipt["CustomerRef"]["name"].as_str().context("a customer")?;
        ensure!(name.starts_with("Vera Lee ("), "{name}");
        Ok(())
    });
    vec![
        case("a guest", of("Gus", "gus@lee.test"), PAID).then(billed_to("Gus Lee"), PAID),
        case("the same guest again", of("Augustus", "GUS@lee.test"), PAID)
            .then(billed_to("Gus Lee"), PAID),
        case("a namesake", of("Sam", "sam@lee.test"), PAID).then(billed_at("sam@lee.test"), PAID),
        case("another of the same name", of("Sam", "sam@other.test"), PAID)
            .then(billed_at("sam@other.test"), PAID),
        case("known there by address, whatever the name", of("Kay", "kay@lee.test"), PAID)
            .after(knows("Kay's Company", "Kay@Lee.test"))
            .then(billed_to("Kay's Company"), PAID),
        case(
            "two there with that address",
            of("Tia", "tia@lee.test"),
            &["needs_attention: several_customers"],
        )
        .after(both(knows("Tia one", "tia@lee.test"), knows("Tia two", "tia@lee.test"))),
        case("a name that a vendor bears", of("Vera", "vera@lee.test"), PAID)
            .after(vendor)
            .then(renamed, PAID),
        case("nobody", with(order("completed", true), nobody), PAID)
            .then(billed_to("Web customer"), PAID),
        case("an account whose name is taken", of("Abe", "abe@lee.test"), PAID)
            .after(both(
                knows("Abe Lee", "abe@old.test"),
                has_account("abe@lee.test", "Abe", "Lee"),
            ))
            .then(is_called(|order| format!("Abe Lee (WC {})", order["customer_id"])), PAID),
        case("a name that an inactive one bears", of("Uwe", "uwe@lee.test"), PAID)
            .after(both(knows("Uwe Lee", "uwe@old.test"), retires("Uwe Lee")))
            .then(billed_at_all("uwe@lee.test", "Uwe Lee (guest "), PAID),
        case("an inactive one of that address", of("Vic", "vic@lee.test"), PAID)
            .after(both(knows("Vic's Company", "vic@lee.test"), retires("Vic's Company")))
            .then(billed_to("Vic Lee"), PAID),
    ]
}

/// The receipt's customer is called what the shop's order makes of it.
fn is_called(name: impl Fn(&Value) -> String + 'static) -> Act {
    Box::new(move |desk, order| {
        let shown = desk.bed.simulator.rest()?.get(&format!("orders/{}", order.id))?;
        let receipt = desk.document(order, "SalesReceipt")?;
        let (name, billed) = (name(&shown), &receipt["CustomerRef"]["name"]);
        ensure!(*billed == json!(name), "order {} is billed to {billed}, not {name}", order.id);
        Ok(())
    })
}

/// The receipt's customer has that address, and a name that begins so.
fn billed_at_all(email: &'static str, name: &'static str) -> Act {
    Box::new(move |desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let id = receipt["CustomerRef"]["value"].as_str().context("a customer")?;
        let customer = desk.books.get(desk.bed, &format!("records/Customer/{id}"))?;
        ensure!(customer["PrimaryEmailAddr"]["Address"] == email, "{customer}");
        let found = customer["DisplayName"].as_str().unwrap_or_default();
        ensure!(found.starts_with(name), "{found} doesn't begin with {name}");
        Ok(())
    })
}

/// The customer of that name is made inactive there.
fn retires(name: &'static str) -> Act {
    Box::new(move |desk, _| {
        let customers = desk.books.records(desk.bed, "Customer")?;
        let one = customers.iter().find(|customer| customer["DisplayName"] == name);
        let which = json!({"entity": "Customer", "id": one.context("a customer")?["Id"]});
        desk.books.act(desk.bed, "inactivate", &which).map(drop)
    })
}

fn sold(line: Value) -> Value {
    with(order("completed", true), json!({"line_items": [line]}))
}

/// The receipt's first line is of that item.
fn sells(name: &'static str) -> Act {
    Box::new(move |desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let item = &receipt["Line"][0]["SalesItemLineDetail"]["ItemRef"]["name"];
        ensure!(item == name, "order {} sells {item}, not {name}", order.id);
        Ok(())
    })
}

fn later(order: Value) -> Value {
    with(order, json!({"status": "pending", "set_paid": false}))
}

/// An item that somebody made there.
fn stocks(name: &'static str, sku: &'static str) -> Act {
    Box::new(move |desk, _| {
        let set = json!({"Name": name, "Sku": sku, "Type": "NonInventory",
                         "IncomeAccountRef": {"value": "79"}});
        desk.books.act(desk.bed, "create", &json!({"entity": "Item", "set": set})).map(drop)
    })
}

/// Staff put another product into the order's line.
fn becomes(product: i64) -> Act {
    Box::new(move |desk, order| {
        let rest = desk.bed.simulator.rest()?;
        let shown = rest.get(&format!("orders/{}", order.id))?;
        let line = json!({"id": shown["line_items"][0]["id"], "product_id": product});
        let change = json!({"line_items": [line], "customer_note": "the other one"});
        rest.put(&format!("orders/{}", order.id), &change).map(drop)
    })
}

fn deletes_product(id: i64) -> Act {
    Box::new(move |desk, _| {
        desk.bed.simulator.rest()?.delete(&format!("products/{id}?force=true")).map(drop)
    })
}

/// The variation is sold, and there is no item of its parent.
fn no_parent() -> Act {
    Box::new(|desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let item = &receipt["Line"][0]["SalesItemLineDetail"]["ItemRef"]["name"];
        ensure!(item.as_str().is_some_and(|name| name.ends_with("(WC 60)")), "{item}");
        let items = desk.books.records(desk.bed, "Item")?;
        let name = |item: &Value| item["Name"].as_str().unwrap_or_default().to_owned();
        ensure!(!items.iter().any(|item| name(item).ends_with("(WC 59)")), "the parent is there");
        Ok(())
    })
}

fn goods() -> Vec<Case> {
    let twenty = json!({"quantity": 1, "subtotal": "20.00", "total": "20.00"});
    let nameless = with(twenty.clone(), json!({"name": "Something", "product_id": 0}));
    let poster = with(twenty.clone(), json!({"product_id": 23}));
    let lamp = with(twenty.clone(), json!({"product_id": 24}));
    let another_lamp = later(sold(lamp.clone()));
    let hat = with(twenty.clone(), json!({"product_id": 29}));
    let variation = with(twenty.clone(), json!({"product_id": 59, "variation_id": 60}));
    let external = with(twenty.clone(), json!({"product_id": 52}));
    let scarf = with(twenty.clone(), json!({"product_id": 27}));
    let deleted = with(twenty, json!({"product_id": 33}));
    let stock_poster: Act = Box::new(|desk, _| {
        let set = json!({"Name": "Wall art", "Sku": "SKU-0013", "Type": "NonInventory",
                         "IncomeAccountRef": {"value": "1"}});
        let income = desk.books.records(desk.bed, "Account")?;
        let income = income.iter().find(|a| a["Name"] == "Sales of Product Income");
        let mut set = set;
        set["IncomeAccountRef"]["value"] = income.context("an account")?["Id"].clone();
        desk.books.act(desk.bed, "create", &json!({"entity": "Item", "set": set})).map(drop)
    });
    let retire: Act = Box::new(|desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        let item = &receipt["Line"][0]["SalesItemLineDetail"]["ItemRef"]["value"];
        let which = json!({"entity": "Item", "id": item});
        desk.books.act(desk.bed, "inactivate", &which).map(drop)
    });
    vec![
        case("without a product", sold(nameless), PAID).then(sells("Unmatched product"), PAID),
        case("known there by its SKU", sold(poster), PAID)
            .after(stock_poster)
            .then(sells("Wall art"), PAID),
        case("of an item that is inactive now", sold(lamp), PAID)
            .then(both(retire, edits(json!({"customer_note": "ring twice"}))), PAID),
        case("of an item that was made inactive", another_lamp, WAITS)
            .then(nothing(), WAITS)
            .then(edits(json!({"status": "completed"})), INACTIVE)
            .then(tells(&["Lamp (WC 24)", "is inactive in QuickBooks", "active again"]), INACTIVE),
        case("of a SKU that two items bear", sold(hat), PAID)
            .after(both(stocks("Hat one", "SKU-0018"), stocks("Hat two", "SKU-0018")))
            .then(sells("Hat (WC 29)"), PAID),
        case("a variation: its parent is no item", sold(variation), PAID).then(no_parent(), PAID),
        case("of a product elsewhere, sold all the same", sold(external), PAID)
            .then(sells("Notebook, 5\" x 8\" #43 (WC 52)"), PAID),
        case("another product in its line: the item stays", sold(scarf.clone()), PAID)
            .then(becomes(28), PAID)
            .then(sells("Scarf (WC 27)"), PAID),
        case("of a product that is deleted since", later(sold(deleted)), WAITS)
            .then(both(deletes_product(33), edits(json!({"status": "completed"}))), PAID)
            .then(sells("Unmatched product"), PAID),
        case("of a product that is deleted after it was sold", sold(scarf), PAID)
            .then(both(deletes_product(27), edits(json!({"customer_note": "ring twice"}))), PAID)
            .then(sells("Scarf (WC 27)"), PAID),
    ]
}

/// One customer per currency, and nothing is ever converted.
fn euros() -> Vec<Case> {
    let eva = person("Eva", "eva@lee.test", "WY", "US");
    let in_dollars = with(order("completed", true), json!({"billing": eva}));
    let in_euros = with(in_dollars.clone(), json!({"currency": "EUR"}));
    let kept: Act = Box::new(|desk, order| {
        let receipt = desk.document(order, "SalesReceipt")?;
        ensure!(receipt["CurrencyRef"]["value"] == "EUR", "{receipt}");
        let name = receipt["CustomerRef"]["name"].as_str().unwrap_or_default();
        ensure!(name == "Eva Lee (EUR)", "{name}");
        Ok(())
    });
    vec![
        case("in dollars", in_dollars, PAID).then(billed_to("Eva Lee"), PAID),
        case("the same person in euros", in_euros, PAID)
            .then(kept, PAID)
            .then(refunds("5.00"), &["RefundReceipt 5.00", "SalesReceipt 20.00"]),
    ]
}

fn unmapped() -> Vec<Case> {
    let anna = person("Anna", "anna@lee.test", "", "DE");
    let german = with(order("completed", true), json!({"billing": anna}));
    vec![case("tax of a rate that nothing maps", german, &["needs_attention: unmapped_tax"])]
}
