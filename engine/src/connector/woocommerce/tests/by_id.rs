//! Records asked for by id.

use super::fixtures::response;
use super::server::{FakeShop, LONG_AGO, list, ok, order, records, refund, refusal};
use crate::connector::Connector;
use crate::model::{Entity, Presence};
use serde_json::json;

#[tokio::test]
async fn by_id_tells_the_trashed_from_the_gone() {
    let shop = FakeShop::start(|path, query| {
        let include = query.get("include").map(String::as_str);
        match (path, include, query.get("status").map(String::as_str)) {
            ("wc/v3/orders", Some("1,2,3,4"), Some("any")) => list(&[order(1, LONG_AGO)]),
            ("wc/v3/orders", Some("2,3,4"), Some("trash")) => {
                let mut trashed = order(2, LONG_AGO);
                trashed["status"] = "trash".into();
                list(&[trashed])
            }
            ("wc/v3/orders/3", ..) => ok(&order(3, LONG_AGO)),
            ("wc/v3/orders/4", ..) => refusal(404, "err_404_order"),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let ids: Vec<String> = ["1", "2", "3", "4", "guest:a@x.test"].map(String::from).to_vec();
    let found = shop.open().by_ids(&shop.stream(Entity::Orders), &ids).await.unwrap();
    let got: Vec<(&str, Presence)> = found
        .records
        .iter()
        .filter(|r| r.remote_type == "order")
        .map(|r| (r.remote_id.as_str(), r.presence))
        .collect();
    assert_eq!(
        got,
        [("1", Presence::Live), ("2", Presence::Trashed), ("3", Presence::Live)],
        "what a plugin hides from lists is asked for on its own"
    );
    assert_eq!(found.gone, ["4"]);
}

#[tokio::test]
async fn a_missing_route_is_no_missing_record() {
    let shop = FakeShop::start(|path, query| match (path, query.contains_key("include")) {
        ("wc/v3/orders", true) => list(&[]),
        _ => refusal(404, "err_404_route"),
    })
    .await;
    let ids = ["1".to_owned()];
    let error = shop.open().by_ids(&shop.stream(Entity::Orders), &ids).await.unwrap_err();
    assert_eq!(error.code, "rest_no_route");
}

#[tokio::test]
async fn a_variation_by_id_is_read_with_its_parent() {
    let shop = FakeShop::start(|path, query| match path {
        "wc/v3/products" => list(&[]),
        "wc/v3/data/currencies/current" => ok(&json!({"code": "USD"})),
        "wc/v3/products/60" => {
            ok(&serde_json::from_str(&response("variation_via_products_endpoint")).unwrap())
        }
        "wc/v3/products/59" => {
            ok(records("shop/products.json").iter().find(|p| p["id"] == 59).unwrap())
        }
        "wc/v3/products/59/variations" => {
            assert_eq!(query["include"], "60");
            list(&[serde_json::from_str(&response("variation_single")).unwrap()])
        }
        "wc/v3/products/61" => refusal(404, "err_404_product"),
        other => panic!("{other}"),
    })
    .await;
    let ids = ["60".to_owned(), "61".to_owned()];
    let found = shop.open().by_ids(&shop.stream(Entity::Products), &ids).await.unwrap();
    assert_eq!(found.records.len(), 1);
    assert_eq!(found.records[0].remote_type, "variation");
    assert_eq!(found.gone, ["61"]);
}

#[tokio::test]
async fn a_customer_by_id_is_gone_when_wordpress_says_so() {
    let shop = FakeShop::start(|path, query| match path {
        "wc/v3/customers" => {
            assert_eq!(query["role"], "all");
            list(&[])
        }
        _ => refusal(404, "err_404_customer"),
    })
    .await;
    let ids = ["9".to_owned()];
    let found = shop.open().by_ids(&shop.stream(Entity::Customers), &ids).await.unwrap();
    assert_eq!(found.gone, ["9"]);
}

#[tokio::test]
async fn refunds_asked_for_by_their_orders_ids_are_those_of_the_orders() {
    let shop =
        FakeShop::start(|path, query| match (path, query.get("include").map(String::as_str)) {
            ("wc/v3/refunds", Some("10,901,902")) => list(&[refund(901, 9)]),
            ("wc/v3/orders", Some("10,902")) => {
                list(&[json!({"id": 10, "currency": "EUR", "refunds": [{"id": 903}]})])
            }
            ("wc/v3/orders/10/refunds", _) => list(&[refund(903, 10)]),
            ("wc/v3/orders", Some("9")) => list(&[json!({"id": 9, "currency": "USD"})]),
            ("wc/v3/refunds", _) => list(&[]),
            other => panic!("{other:?}"),
        })
        .await;
    let ids = ["10".to_owned(), "901".to_owned(), "902".to_owned()];
    let found = shop.open().by_ids(&shop.stream(Entity::Refunds), &ids).await.unwrap();
    let mut got: Vec<&str> = found.records.iter().map(|r| r.remote_id.as_str()).collect();
    got.sort_unstable();
    assert_eq!(got, ["901", "903"]);
    assert_eq!(found.gone, ["902"], "an order's id is no refund that is gone");
}

#[tokio::test]
async fn what_can_be_no_id_fails_with_a_cure() {
    let shop = FakeShop::start(|_, _| panic!("nothing to ask for")).await;
    let ids = ["abc".to_owned(), "-5".to_owned(), String::new(), "guest:a@x.test".to_owned()];
    let found = shop.open().by_ids(&shop.stream(Entity::Orders), &ids).await.unwrap();
    let failed: Vec<&str> = found.failures.iter().map(|f| f.remote_id.as_str()).collect();
    assert_eq!(failed, ["abc", "-5"]);
    assert_eq!(found.failures[0].error.message, "\"abc\" is no id of a WooCommerce order");
}
