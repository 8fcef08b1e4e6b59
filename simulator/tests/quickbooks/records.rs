//! Records in general: ids, tokens, sparse and full updates, names, inactivation.

use crate::bed::{Bed, id};
use serde_json::{Value, json};

#[test]
fn a_customer_comes_back_as_documented() {
    let bed = Bed::new("us_single");
    let recorded: Value =
        serde_json::from_str(include_str!("../../fixtures/quickbooks/customer.json")).unwrap();
    let request = include_str!("../../fixtures/quickbooks/customer_create_request.json");
    let made = bed.api("POST", "customer?minorversion=75", request).entity("Customer");
    for (key, value) in recorded["Customer"].as_object().unwrap() {
        // Made up by the server, or written later.
        if ["ShipAddr", "V4IDPseudonym", "BillAddr"].contains(&key.as_str()) {
            continue;
        }
        let ours = made.get(key).unwrap_or_else(|| panic!("{key} is missing: {made}"));
        let same_kind = std::mem::discriminant(ours) == std::mem::discriminant(value);
        assert!(same_kind, "{key}: {ours} is not like {value}");
    }
    assert_eq!(made["SyncToken"], "0");
    assert_eq!(made["MetaData"]["CreateTime"], "2026-11-24T05:00:00-05:00");
}

#[test]
fn ids_are_texts_and_transactions_count_apart_from_names() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let other = bed.customer("Noor");
    let invoice = id(&bed.invoice(&customer, "1", "10"));
    let next = id(&bed.invoice(&customer, "2", "10"));
    let numbers = [&customer, &other, &invoice, &next].map(|id| id.parse::<u64>().unwrap());
    assert_eq!(numbers[1], numbers[0] + 1);
    assert_eq!([numbers[2], numbers[3]], [1, 2]);
}

#[test]
fn a_stale_or_missing_token_is_refused() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let edit = |token: Option<&str>| {
        let mut body = json!({ "Id": customer, "sparse": true, "Notes": "x" });
        if let Some(token) = token {
            body["SyncToken"] = json!(token);
        }
        bed.post("customer", body)
    };
    assert_eq!(edit(None).code(), "2020");
    assert_eq!(edit(Some("0")).entity("Customer")["SyncToken"], "1");
    assert_eq!(edit(Some("0")).code(), "5010");
    assert_eq!(bed.post("customer", json!({"Id": "99999", "SyncToken": "0"})).code(), "610");
}

#[test]
fn a_sparse_update_keeps_what_it_leaves_out_and_a_full_one_clears_it() {
    let bed = Bed::new("us_single");
    let made = bed.make(
        "Customer",
        json!({ "DisplayName": "Maya", "Notes": "vip",
        "PrimaryEmailAddr": { "Address": "maya@example.test" } }),
    );
    let sparse = json!({ "Id": made["Id"], "SyncToken": "0", "sparse": true, "Notes": "x" });
    let sparse = bed.make("Customer", sparse);
    assert_eq!(sparse["PrimaryEmailAddr"]["Address"], "maya@example.test");
    let full = json!({ "Id": made["Id"], "SyncToken": "1", "DisplayName": "Maya" });
    let full = bed.make("Customer", full);
    assert!(full.get("PrimaryEmailAddr").is_none() && full.get("Notes").is_none(), "{full}");
    assert_eq!((&full["Active"], &full["CurrencyRef"]["value"]), (&json!(true), &json!("USD")));
}

#[test]
fn fields_without_a_value_are_absent() {
    let bed = Bed::new("us_single");
    let made = bed.make("Customer", json!({ "DisplayName": "Maya", "Notes": null }));
    assert!(made.as_object().unwrap().values().all(|value| !value.is_null()), "{made}");
}

#[test]
fn names_are_shared_by_customers_and_vendors_whatever_their_case() {
    let bed = Bed::new("us_single");
    bed.customer("Maya Okafor");
    let again = |entity: &str, name: &str| bed.post(entity, json!({ "DisplayName": name })).code();
    assert_eq!(again("customer", "maya okafor"), "6240");
    assert_eq!(again("vendor", " Maya OKAFOR "), "6240");
    assert_eq!(again("employee", "Maya Okafor"), "6240");
    assert_eq!(again("customer", "Maya:Okafor"), "2040");
    assert_eq!(again("customer", "Maya\tOkafor"), "2040");
    assert_eq!(again("customer", ""), "6080");
    assert_eq!(again("customer", &"x".repeat(501)), "2050");
    let parts = bed.make("Customer", json!({ "GivenName": "Noor", "FamilyName": "Aziz" }));
    assert_eq!(parts["DisplayName"], "Noor Aziz");
}

#[test]
fn an_inactive_customer_keeps_its_name_taken_and_gets_it_back() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let set = |token: &str, active: bool| {
        bed.make(
            "Customer",
            json!({ "Id": customer, "SyncToken": token, "sparse": true,
            "Active": active }),
        )
    };
    assert_eq!(set("0", false)["DisplayName"], "Maya (deleted)");
    assert_eq!(bed.post("customer", json!({ "DisplayName": "Maya" })).code(), "6240");
    assert!(bed.query("select * from Customer where DisplayName = 'Maya (deleted)'").json()
        ["QueryResponse"].as_object().unwrap().is_empty());
    assert_eq!(set("1", true)["DisplayName"], "Maya");
    assert_eq!(
        bed.post("customer?operation=delete", json!({ "Id": customer, "SyncToken": "2" })).code(),
        "500"
    );
}

#[test]
fn item_names_are_unique_under_their_parent() {
    let bed = Bed::new("us_single");
    let category = id(&bed.make("Item", json!({ "Name": "Stationery", "Type": "Category" })));
    bed.item("Sticker pack");
    let under = json!({ "Name": "Sticker pack", "Type": "Service", "SubItem": true,
        "ParentRef": { "value": category }, "IncomeAccountRef": { "value": "1" } });
    let made = bed.make("Item", under.clone());
    assert_eq!(made["FullyQualifiedName"], "Stationery:Sticker pack");
    assert_eq!(made["ParentRef"]["name"], "Stationery");
    assert_eq!(bed.post("item", under).code(), "6240");
}

#[test]
fn items_need_accounts_of_the_right_type() {
    let bed = Bed::new("us_single");
    let item = |income: &str| {
        bed.post(
            "item",
            json!({ "Name": format!("on {income}"), "Type": "Service",
            "IncomeAccountRef": { "value": income } }),
        )
    };
    assert_eq!(item("35").code(), "6430", "a bank account");
    assert_eq!(item("99999").code(), "2500");
    assert_eq!(bed.post("item", json!({ "Name": "bare", "Type": "Service" })).code(), "2020");
    assert_eq!(item("100").status, 200, "a liability for tax collected for others");
}

#[test]
fn inventory_items_need_quantity_start_and_the_plan() {
    let tote = json!({ "Name": "Tote", "Type": "Inventory", "TrackQtyOnHand": true,
        "QtyOnHand": 37, "InvStartDate": "2026-01-01", "IncomeAccountRef": { "value": "79" },
        "ExpenseAccountRef": { "value": "80" }, "AssetAccountRef": { "value": "81" } });
    let bed = Bed::new("us_single");
    let mut bare = tote.clone();
    bare.as_object_mut().unwrap().remove("InvStartDate");
    assert_eq!(bed.post("item", bare).code(), "2020");
    assert_eq!(bed.make("Item", tote.clone())["QtyOnHand"], json!(37));
    assert_eq!(Bed::new("us_essentials").post("item", tote).code(), "5020");
}
