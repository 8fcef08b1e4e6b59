//! What a company has or lacks, and what a person does in it.

use crate::bed::{Bed, id, number, sale};
use serde_json::{Value, json};

fn euro(bed: &Bed, name: &str, code: &str) -> String {
    let body = json!({ "DisplayName": name, "CurrencyRef": { "value": code } });
    id(&bed.make("Customer", body))
}

#[test]
fn every_preset_stands_and_lists_what_its_settings_name() {
    for (preset, settings) in [
        ("us", include_str!("../../fixtures/quickbooks/presets/us.settings.json")),
        ("us_single", include_str!("../../fixtures/quickbooks/presets/us_single.settings.json")),
        ("uk", include_str!("../../fixtures/quickbooks/presets/uk.settings.json")),
        ("uk_single", include_str!("../../fixtures/quickbooks/presets/uk_single.settings.json")),
        ("eu", include_str!("../../fixtures/quickbooks/presets/eu.settings.json")),
    ] {
        let bed = Bed::new(preset);
        let settings: Value = serde_json::from_str(settings).unwrap();
        let there = |entity: &str, name: &Value| {
            let name = name.as_str().unwrap();
            let all = bed.company("GET", &format!("records/{entity}"), Value::Null);
            let named = |r: &Value| r["Name"] == name || r["DisplayName"] == name;
            assert!(all.as_array().unwrap().iter().any(named), "{preset}: no {entity} {name}");
        };
        for (key, value) in settings.as_object().unwrap() {
            match key.as_str() {
                "web_customer" => there("Customer", value),
                "terms" => there("Term", value),
                key if key.ends_with("_item") => there("Item", value),
                key if key.ends_with("_account") => there("Account", value),
                "payment_methods" => {
                    value.as_object().unwrap().values().for_each(|m| there("PaymentMethod", m));
                }
                "deposit_accounts" => value.as_object().unwrap().values().for_each(|a| match a {
                    Value::Object(by) => by.values().for_each(|a| there("Account", a)),
                    name => there("Account", name),
                }),
                "tax" => {
                    for target in value["rates"].as_object().unwrap().values() {
                        if target.is_object() {
                            let code = target.get("code").map(|c| ("TaxCode", c));
                            let (entity, name) = code.unwrap_or(("Item", &target["item"]));
                            there(entity, name);
                        }
                    }
                    if value.get("zero_code").is_some() {
                        there("TaxCode", &value["zero_code"]);
                    }
                }
                _ => {}
            }
        }
        let zone = bed.get("preferences").json()["time"].as_str().unwrap()[23..].to_owned();
        assert_eq!(zone.len(), 6, "{preset} has an offset");
    }
}

#[test]
fn preferences_and_company_read_like_the_documented_ones() {
    let bed = Bed::new("us_single");
    let preferences = bed.get("preferences").entity("Preferences");
    let recorded = include_str!("../../fixtures/quickbooks/preferences.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    for (group, fields) in recorded["Preferences"].as_object().unwrap() {
        for key in fields.as_object().into_iter().flatten().map(|(key, _)| key) {
            if group != "EmailMessagesPrefs" {
                assert!(preferences[group].get(key).is_some(), "{group}.{key} is missing");
            }
        }
    }
    let info = bed.get(&format!("companyinfo/{}", bed.realm)).entity("CompanyInfo");
    let recorded = include_str!("../../fixtures/quickbooks/companyinfo.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    for key in recorded["CompanyInfo"].as_object().unwrap().keys() {
        assert!(info.get(key).is_some(), "{key} is missing");
    }
    assert!(preferences["TaxPrefs"]["PartnerTaxEnabled"] == json!(true));
    let british = Bed::new("uk").get("preferences").entity("Preferences");
    assert!(british["TaxPrefs"].get("PartnerTaxEnabled").is_none(), "absent: no automated tax");
}

#[test]
fn documents_are_in_their_customers_currency_and_say_so() {
    let bed = Bed::new("us");
    let customer = euro(&bed, "Anna (EUR)", "EUR");
    let mut body = sale(&customer, "1", &[("8", "1", "100", "NON")]);
    assert_eq!(bed.post("salesreceipt", body.clone()).code(), "2020", "CurrencyRef is required");
    body["CurrencyRef"] = json!({ "value": "USD" });
    assert_eq!(bed.post("salesreceipt", body.clone()).code(), "6000");
    body["CurrencyRef"] = json!({ "value": "CHF" });
    assert_eq!(bed.post("salesreceipt", body.clone()).code(), "2220", "not set up");
    body["CurrencyRef"] = json!({ "value": "EUR" });
    body["DepositToAccountRef"] = json!({ "value": "112" });
    assert_eq!(bed.post("salesreceipt", body.clone()).code(), "6000", "an account in pounds");
    body["DepositToAccountRef"] = json!({ "value": "111" });
    let made = bed.make("SalesReceipt", body.clone());
    assert_eq!((&made["ExchangeRate"], &made["HomeTotalAmt"]), (&number("1.15"), &json!(115)));
    body["ExchangeRate"] = number("1.2");
    body["DocNumber"] = json!("2");
    body["DepositToAccountRef"] = json!({ "value": "95" });
    assert_eq!(bed.make("SalesReceipt", body)["HomeTotalAmt"], json!(120));
    let accounts = bed.company("GET", "accounts", Value::Null);
    assert_eq!(accounts["Shop Clearing EUR"], "100.00", "in its own currency");
    assert_eq!(accounts["Shop Clearing"], "120.00", "in the home currency");
    let change = json!({ "Id": customer, "SyncToken": "0", "sparse": true,
        "CurrencyRef": { "value": "USD" } });
    assert_eq!(bed.post("customer", change).code(), "6000", "a currency is for life");
    let totals = bed.company("GET", "documents", Value::Null);
    assert_eq!(totals["SalesReceipt"]["EUR"]["total"], "200.00");
    let rate = bed.get("exchangerate?sourcecurrencycode=JPY").entity("ExchangeRate");
    assert_eq!(rate["Rate"], number("0.0065"));
}

#[test]
fn without_multicurrency_there_is_one_currency() {
    let bed = Bed::new("us_single");
    let body = json!({ "DisplayName": "Anna", "CurrencyRef": { "value": "EUR" } });
    assert_eq!(bed.post("customer", body).code(), "6000");
    let customer = bed.customer("Anna");
    let mut body = sale(&customer, "1", &[("8", "1", "100", "NON")]);
    body["CurrencyRef"] = json!({ "value": "EUR" });
    assert_eq!(bed.post("invoice", body).code(), "6000");
    let none = bed.query("select * from CompanyCurrency").json();
    assert_eq!(none["QueryResponse"], json!({}));
    assert!(bed.invoice(&customer, "2", "5").get("ExchangeRate").is_none());
}

#[test]
fn stock_moves_with_documents_and_back() {
    let bed = Bed::new("us_single");
    let tote = json!({ "Name": "Tote", "Type": "Inventory", "TrackQtyOnHand": true,
        "QtyOnHand": 37, "InvStartDate": "2026-06-01", "IncomeAccountRef": { "value": "79" },
        "ExpenseAccountRef": { "value": "80" }, "AssetAccountRef": { "value": "81" } });
    let tote = id(&bed.make("Item", tote));
    let customer = bed.customer("Maya");
    let stock = || bed.record("Item", &tote)["QtyOnHand"].clone();
    let sold = bed.make("Invoice", sale(&customer, "1", &[(&tote, "5", "20", "NON")]));
    assert_eq!(stock(), json!(32));
    let mut fewer = sale(&customer, "1", &[(&tote, "2", "20", "NON")]);
    fewer["Id"] = sold["Id"].clone();
    fewer["SyncToken"] = json!("0");
    bed.make("Invoice", fewer);
    assert_eq!(stock(), json!(35));
    bed.make("CreditMemo", sale(&customer, "1-R", &[(&tote, "1", "20", "NON")]));
    assert_eq!(stock(), json!(36));
    bed.act("void", json!({ "entity": "Invoice", "id": sold["Id"] }));
    assert_eq!(stock(), json!(38));
    let mut early = sale(&customer, "2", &[(&tote, "1", "20", "NON")]);
    early["TxnDate"] = json!("2026-05-31");
    assert_eq!(bed.post("invoice", early).code(), "6270");
    let mut bare = sale(&customer, "2", &[(&tote, "1", "20", "NON")]);
    bare["Line"][0]["Amount"] = json!(20);
    bare["Line"][0]["SalesItemLineDetail"].as_object_mut().unwrap().remove("Qty");
    assert_eq!(bed.post("invoice", bare).code(), "6520");
    bed.rules(json!({ "inventory_lock_percent": 100 }));
    let locked = bed.post("invoice", sale(&customer, "3", &[(&tote, "1", "20", "NON")]));
    let recorded = include_str!("../../fixtures/quickbooks/fault_6000_inventory_lock.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    assert_eq!(locked.json()["Fault"], recorded["body"]["Fault"]);
}

#[test]
fn an_ended_subscription_refuses_writes_and_allows_reads() {
    let bed = Bed::new("us_single");
    bed.act("subscription", json!({ "active": false }));
    assert_eq!(bed.post("customer", json!({ "DisplayName": "Maya" })).code(), "6190");
    assert_eq!(bed.get("preferences").status, 200);
    bed.act("subscription", json!({ "active": true }));
    bed.customer("Maya");
}

#[test]
fn features_of_the_plan_are_needed_to_use_them() {
    let bed = Bed::new("us_essentials");
    assert_eq!(bed.post("class", json!({ "Name": "Web" })).code(), "5020");
    assert_eq!(bed.post("department", json!({ "Name": "Online" })).code(), "5020");
    let mut body = sale("1", "1", &[("8", "1", "5", "NON")]);
    body["DepartmentRef"] = json!({ "value": "1" });
    assert_eq!(bed.post("invoice", body.clone()).code(), "5020");
    body.as_object_mut().unwrap().remove("DepartmentRef");
    body["Line"][0]["SalesItemLineDetail"]["ClassRef"] = json!({ "value": "5000000000000000001" });
    assert_eq!(bed.post("invoice", body.clone()).code(), "5020");
    assert_eq!(Bed::new("us_single").post("invoice", body).status, 200);
}

#[test]
fn custom_fields_must_be_switched_on() {
    let bed = Bed::new("us_single");
    let mut body = sale("1", "1", &[("8", "1", "5", "NON")]);
    body["CustomField"] = json!([{ "DefinitionId": "2", "StringValue": "stripe" }]);
    let made = bed.make("Invoice", body.clone());
    assert_eq!(
        made["CustomField"],
        json!([{ "DefinitionId": "2", "StringValue": "stripe",
        "Name": "Payment method", "Type": "StringType" }])
    );
    body["CustomField"][0]["DefinitionId"] = json!("4");
    body["DocNumber"] = json!("2");
    assert_eq!(bed.post("invoice", body.clone()).code(), "3000");
    body["CustomField"] = json!([{ "DefinitionId": "1", "StringValue": "x".repeat(32) }]);
    assert_eq!(bed.post("invoice", body).code(), "2050");
}

#[test]
fn shipping_and_echoed_subtotals_have_their_rules() {
    let bed = Bed::new("us_single");
    let mut body = sale("1", "1", &[("8", "1", "5", "NON")]);
    body["Line"].as_array_mut().unwrap().push(json!({ "DetailType": "SalesItemLineDetail",
        "Amount": number("6.79"), "SalesItemLineDetail": {
            "ItemRef": { "value": "SHIPPING_ITEM_ID" }, "TaxCodeRef": { "value": "NON" } } }));
    let mut made = bed.make("Invoice", body.clone());
    assert_eq!(made["TotalAmt"], number("11.79"));
    made["PrivateNote"] = json!("sent back as it was read");
    let echoed = bed.make("Invoice", made.clone());
    assert_eq!((&echoed["TotalAmt"], &echoed["Line"]), (&made["TotalAmt"], &made["Line"]));
    let mut wrong = echoed.clone();
    wrong["Line"][1]["Amount"] = json!(4);
    assert_eq!(bed.post("invoice", wrong).code(), "6070");
    bed.act("preference", json!({ "name": "/SalesFormsPrefs/AllowShipping", "value": false }));
    body["DocNumber"] = json!("2");
    assert_eq!(bed.post("invoice", body).code(), "6000");
}

#[test]
fn a_form_may_not_be_negative_nor_carry_a_card_number() {
    let bed = Bed::new("us_single");
    let negative = sale("1", "1", &[("8", "1", "5", "NON"), ("3", "1", "-6", "NON")]);
    assert_eq!(bed.post("salesreceipt", negative).code(), "6000");
    let zero = sale("1", "1", &[("8", "1", "5", "NON"), ("3", "1", "-5", "NON")]);
    assert_eq!(bed.make("SalesReceipt", zero)["TotalAmt"], json!(0));
    let mut card = sale("1", "2", &[("8", "1", "5", "NON")]);
    card["PrivateNote"] = json!("paid with 4111111111111111");
    assert_eq!(bed.post("salesreceipt", card).code(), "6530");
    assert_eq!(bed.post("salesreceipt", sale("1", "2", &[])).code(), "2020");
}

#[test]
fn a_persons_edit_moves_the_token_and_is_seen() {
    let bed = Bed::new("us_single");
    let customer = bed.customer("Maya");
    let invoice = bed.invoice(&customer, "1", "5");
    let edited = bed.act(
        "edit",
        json!({ "entity": "Invoice", "id": invoice["Id"],
        "set": { "CustomerMemo": { "value": "Thanks!" } } }),
    );
    assert_eq!(edited["SyncToken"], "1");
    let stale =
        json!({ "Id": invoice["Id"], "SyncToken": "0", "sparse": true, "PrivateNote": "x" });
    assert_eq!(bed.post("invoice", stale).code(), "5010");
    let refused =
        bed.try_control("POST", &format!("companies/{}/actions/dance", bed.realm), json!({}));
    assert!(refused.unwrap_err().to_string().contains("close_books"));
}

#[test]
fn merged_customers_leave_one_with_everything() {
    let bed = Bed::new("us_single");
    let [from, into] = ["Maya O.", "Maya Okafor"].map(|name| bed.customer(name));
    let invoice = id(&bed.invoice(&from, "1", "50"));
    bed.act("merge", json!({ "entity": "Customer", "id": from, "into": into }));
    assert_eq!(bed.get(&format!("customer/{from}")).code(), "610");
    let now = bed.record("Invoice", &invoice);
    assert_eq!(now["CustomerRef"], json!({ "value": into, "name": "Maya Okafor" }));
    assert_eq!(bed.record("Customer", &into)["Balance"], json!(50));
    bed.act("pay", json!({ "id": invoice }));
    assert_eq!(bed.record("Customer", &into)["Balance"], json!(0));
    let events = bed.company("GET", "events", Value::Null);
    let merged = events.as_array().unwrap().iter().find(|e| e["operation"] == "merged").unwrap();
    assert_eq!((&merged["id"], &merged["deleted_id"]), (&json!(into), &json!(from)));
    bed.customer("Maya O.");
}

#[test]
fn codes_stay_when_the_texts_are_french() {
    let bed = Bed::new("us_single");
    bed.rules(json!({ "french": true }));
    let customer = bed.customer("Maya");
    let invoice = id(&bed.invoice(&customer, "1", "5"));
    let refused = bed.post("invoice", sale(&customer, "1", &[("8", "1", "5", "NON")]));
    assert_eq!(refused.code(), "6140");
    assert!(refused.detail().contains("TxnType=Facture"), "{}", refused.detail());
    assert!(refused.detail().ends_with(&format!("TxnId={invoice}")));
}

#[test]
fn a_wrong_rule_or_preset_is_refused_by_name() {
    let bed = Bed::new("us_single");
    let rules = format!("companies/{}/rules", bed.realm);
    let refused = bed.try_control("PUT", &rules, json!({ "gravity": 0 })).unwrap_err();
    assert!(refused.to_string().contains("gravity"));
    let refused = bed.try_control("POST", "companies", json!({ "preset": "mars" })).unwrap_err();
    assert!(refused.to_string().contains("us_single"));
}
