//! Pages, from a shop that answers.

use super::fixtures::{read, text};
use super::server::{FakeShop, JUST_NOW, LONG_AGO, list, ok, order, records, refund, refusal};
use crate::connector::Connector;
use crate::model::{Cell, Entity, Mode};
use crate::store::Filters;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

#[tokio::test]
async fn drafts_of_the_checkout_are_skipped_and_guests_come_first() {
    let shop = FakeShop::start(|_, _| list(&records("shop/orders.json")[..100])).await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    assert_eq!((page.len, page.ids.len(), page.total), (100, 100, Some(100)));
    assert_eq!(page.served_at, Some("2026-11-20T12:00:00Z".parse().unwrap()));
    let orders = page.records.iter().filter(|r| r.entity == Entity::Orders).count();
    assert_eq!(orders + page.skipped, 100);
    let last_guest = page.records.iter().rposition(|r| r.remote_type == "guest").unwrap();
    let first_order = page.records.iter().position(|r| r.remote_type == "order").unwrap();
    assert!(last_guest < first_order);
    assert!(
        page.records.iter().all(|r| *r.row.cell("status") != Cell::Text("checkout-draft".into()))
    );
    assert!(page.failures.is_empty(), "{:?}", page.failures);
}

#[tokio::test]
async fn of_one_guests_orders_on_a_page_the_newest_says_who_that_is() {
    let shop = FakeShop::start(|_, _| {
        let guest = |id: i64, name: &str| {
            let mut order = order(id, LONG_AGO);
            order["customer_id"] = 0.into();
            order["billing"]["email"] = "Ann@Example.test".into();
            order["billing"]["first_name"] = name.into();
            order["billing"]["last_name"] = "".into();
            order
        };
        list(&[guest(1, "Ann"), guest(2, "Anna")])
    })
    .await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    let guests: Vec<_> = page.records.iter().filter(|r| r.remote_type == "guest").collect();
    assert_eq!(guests.len(), 1);
    assert_eq!(guests[0].remote_id, "guest:ann@example.test");
    assert_eq!(text(&guests[0].row, "display_name"), "Anna");
}

#[tokio::test]
async fn a_page_past_the_end_says_nothing_of_the_total() {
    let shop = FakeShop::start(|_, _| list(&[])).await;
    let opened = shop.open();
    let passes =
        opened.passes(Entity::Orders, Mode::Full, None, &Filters::default()).await.unwrap();
    let past = shop.page(&opened, Entity::Orders, &passes[0], 500).await.unwrap();
    assert_eq!((past.len, past.total), (0, None));
    let first = shop.page(&opened, Entity::Orders, &passes[0], 0).await.unwrap();
    assert_eq!(first.total, Some(0), "an empty shop");
}

#[tokio::test]
async fn a_lost_total_is_unknown_and_a_php_notice_is_told() {
    let shop = FakeShop::start(|_, _| {
        let body = format!(
            "<br />\n<b>Warning</b>:  Undefined variable $x in <b>/plugin.php</b> on line <b>3</b><br />\n[{}]",
            order(3, LONG_AGO)
        );
        ResponseTemplate::new(200).set_body_raw(body, "application/json")
    })
    .await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    assert_eq!((page.len, page.total), (1, None));
    assert_eq!(page.notes.len(), 1, "{:?}", page.notes);
}

#[tokio::test]
async fn an_object_in_place_of_a_list_is_an_error_and_no_empty_shop() {
    let shop = FakeShop::start(|_, _| ok(&json!({"code": "plugin", "message": "x"}))).await;
    let error = shop.first_page(Entity::Orders, Filters::default()).await.unwrap_err();
    assert_eq!(error.code, "unexpected_json");
}

#[tokio::test]
async fn variations_come_behind_their_product_with_its_currency() {
    let shop = FakeShop::start(|path, _| match path {
        "wc/v3/products" => list(&records("shop/products.json")),
        "wc/v3/data/currencies/current" => ok(&json!({"code": "CAD"})),
        path => {
            let parent = path.split('/').nth(3).unwrap().to_owned();
            let all: Value = serde_json::from_str(&read("shop/variations.json")).unwrap();
            list(all[&parent].as_array().unwrap())
        }
    })
    .await;
    let page = shop.first_page(Entity::Products, Filters::default()).await.unwrap();
    assert!(page.failures.is_empty(), "{:?}", page.failures);
    assert_eq!(page.records.len(), 59 + 74);
    assert_eq!(page.len, 59);
    let mut parents = vec![];
    for record in &page.records {
        assert_eq!(text(&record.row, "currency"), "CAD");
        if record.remote_type == "product" {
            parents.push(record.remote_id.clone());
        } else {
            assert!(parents.contains(&text(&record.row, "parent_id").to_owned()));
        }
    }
    assert_eq!(page.calls, 1 + 9, "one call for each variable product");
    let private = page.records.iter().find(|r| r.remote_id == "56").unwrap();
    assert_eq!(text(&private.row, "status"), "private", "private products are kept");
}

#[tokio::test]
async fn the_shops_currency_is_asked_for_once_and_may_be_unknown() {
    let shop = FakeShop::start(|path, _| match path {
        "wc/v3/products" => list(&records("shop/products.json")[..3]),
        _ => refusal(403, "err_403_customer_role_key"),
    })
    .await;
    let opened = shop.open();
    let passes =
        opened.passes(Entity::Products, Mode::Full, None, &Filters::default()).await.unwrap();
    for _ in 0..2 {
        let page = shop.page(&opened, Entity::Products, &passes[0], 0).await.unwrap();
        assert_eq!(*page.records[0].row.cell("currency"), Cell::Null);
    }
    let asked = shop.asked().await;
    assert_eq!(asked.iter().filter(|a| a.contains("currenc")).count(), 2, "{asked:?}");
}

#[tokio::test]
async fn a_filter_by_sku_finds_a_variation_with_its_parents_name() {
    let shop = FakeShop::start(|path, query| match path {
        "wc/v3/products" => {
            assert_eq!(query["sku"], "VAR-0-R-S");
            let via: Value =
                serde_json::from_str(&super::fixtures::response("variation_via_products_endpoint"))
                    .unwrap();
            list(&[via])
        }
        "wc/v3/data/currencies/current" => ok(&json!({"code": "USD"})),
        "wc/v3/products/59" => {
            ok(records("shop/products.json").iter().find(|p| p["id"] == 59).unwrap())
        }
        "wc/v3/products/59/variations" => {
            assert_eq!(query["include"], "60");
            list(&[serde_json::from_str(&super::fixtures::response("variation_single")).unwrap()])
        }
        other => panic!("{other}"),
    })
    .await;
    let filters = Filters { sku: Some("VAR-0-R-S".into()), ..Filters::default() };
    let page = shop.first_page(Entity::Products, filters).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(text(&page.records[0].row, "name"), "Variable Hoodie 0 – “Größe” - Red, S");
}

#[tokio::test]
async fn a_refund_takes_its_orders_currency_and_each_order_is_asked_for_once() {
    let shop =
        FakeShop::start(|path, query| match (path, query.get("status").map(String::as_str)) {
            ("wc/v3/refunds", _) => {
                list(&[refund(901, 10), refund(902, 10), refund(903, 11), refund(904, 12)])
            }
            ("wc/v3/orders", Some("any")) => list(&[json!({"id": 10, "currency": "KWD"})]),
            ("wc/v3/orders", Some("trash")) => list(&[json!({"id": 11, "currency": "EUR"})]),
            other => panic!("{other:?}"),
        })
        .await;
    let opened = shop.open();
    let passes =
        opened.passes(Entity::Refunds, Mode::Full, None, &Filters::default()).await.unwrap();
    let page = shop.page(&opened, Entity::Refunds, &passes[0], 0).await.unwrap();
    let got: Vec<(&str, &str)> =
        page.records.iter().map(|r| (r.remote_id.as_str(), text(&r.row, "currency"))).collect();
    assert_eq!(got, [("901", "KWD"), ("902", "KWD")]);
    assert_eq!(page.skipped, 2, "one of a trashed order, one of an order that is gone");
    assert_eq!(page.ids, [901, 902, 903, 904], "none of them counts as gone itself");
    assert!(page.notes[0].starts_with("refund 904 belongs to order 12"), "{:?}", page.notes);
    let asked = shop.asked().await;
    assert!(asked.iter().any(|a| a.contains("include=10,11,12&status=any")), "{asked:?}");
    assert!(asked.iter().any(|a| a.contains("include=11,12&status=trash")), "{asked:?}");
    shop.page(&opened, Entity::Refunds, &passes[0], 0).await.unwrap();
    let again = shop.asked().await;
    let known = again[asked.len()..].iter().filter(|a| a.contains("include=10")).count();
    assert_eq!(known, 0, "order 10 is known by now");
}

#[tokio::test]
async fn a_shop_without_a_list_of_refunds_is_walked_by_its_orders() {
    let shop = FakeShop::start(|path, _| match path {
        "wc/v3/refunds" => refusal(404, "err_404_route"),
        "wc/v3/orders" => {
            let mut refunded = order(10, LONG_AGO);
            refunded["currency"] = "EUR".into();
            refunded["refunds"] = json!([{"id": 901, "reason": "", "total": "-1.00"}]);
            list(&[order(9, LONG_AGO), refunded])
        }
        "wc/v3/orders/10/refunds" => {
            let mut one = refund(901, 10);
            one.as_object_mut().unwrap().remove("parent_id");
            list(&[one])
        }
        other => panic!("{other}"),
    })
    .await;
    let page = shop.first_page(Entity::Refunds, Filters::default()).await.unwrap();
    assert_eq!(page.ids, [9, 10]);
    assert_eq!(page.records.len(), 1);
    assert_eq!(text(&page.records[0].row, "order_id"), "10");
    assert_eq!(text(&page.records[0].row, "currency"), "EUR");
}

#[tokio::test]
async fn a_page_that_is_too_much_for_the_shop_is_asked_for_in_parts() {
    let shop = FakeShop::start(|_, query| {
        let number = |name: &str| query[name].parse::<usize>().unwrap();
        let (offset, limit) = (number("offset"), number("per_page"));
        if limit > 30 {
            let page = read("responses/fault_memory.txt");
            return ResponseTemplate::new(500).set_body_raw(page, "text/html");
        }
        let all: Vec<Value> = (1..=100).map(|id| order(id, LONG_AGO)).collect();
        list(&all[offset..usize::min(offset + limit, 100)])
    })
    .await;
    let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    assert_eq!(page.ids, (1..=100).collect::<Vec<i64>>());
}

#[tokio::test]
async fn an_id_walk_reads_ids_and_nothing_else() {
    let shop = FakeShop::start(|_, query| {
        assert_eq!(query["_fields"], "id");
        list(&[json!({"id": 3}), json!({"id": 5})])
    })
    .await;
    let opened = shop.open();
    let pass = opened.id_walk(Entity::Orders).unwrap();
    assert!(pass.complete && pass.ids_only);
    let page = shop.page(&opened, Entity::Orders, &pass, 0).await.unwrap();
    assert_eq!((page.ids.as_slice(), page.records.len()), ([3, 5].as_slice(), 0));
    assert!(opened.id_walk(Entity::Customers).is_none(), "customers are walked whole each time");
}

#[tokio::test]
async fn what_the_api_cannot_filter_by_is_filtered_here() {
    let shop = FakeShop::start(|_, query| {
        assert!(!query.contains_key("modified_before"), "rows would leave the list mid-walk");
        let mut euro = order(2, LONG_AGO);
        euro["currency"] = "EUR".into();
        list(&[order(1, LONG_AGO), euro, order(3, JUST_NOW)])
    })
    .await;
    let currency = Filters { currency: Some("eur".into()), ..Filters::default() };
    let page = shop.first_page(Entity::Orders, currency).await.unwrap();
    assert_eq!((page.records.last().unwrap().remote_id.as_str(), page.skipped), ("2", 2));
    let until = Filters {
        modified_until: Some("2026-06-01T00:00:00Z".parse().unwrap()),
        ..Filters::default()
    };
    let page = shop.first_page(Entity::Orders, until).await.unwrap();
    assert_eq!(page.skipped, 1);
}

#[tokio::test]
async fn calls_are_signed_and_carry_no_secret() {
    let shop = FakeShop::start(|_, _| list(&[])).await;
    shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    let requests = shop.server.received_requests().await.unwrap();
    for request in requests {
        assert!(request.url.path().contains("/wp-json/"));
        assert!(!request.headers.contains_key("authorization"));
        let query = request.url.query().unwrap();
        assert!(query.contains("oauth_signature=") && !query.contains("cs_secret"), "{query}");
    }
}

#[tokio::test]
async fn settings_reach_the_calls() {
    let shop = FakeShop::start(|_, query| {
        assert_eq!(query["dp"], "2");
        list(&[])
    })
    .await
    .with(json!({"dp": 2, "page_size": 20, "concurrency": 2, "overlap_seconds": 60}));
    shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
    let opened = shop.open();
    assert_eq!((opened.page_size(), opened.concurrency()), (20, 2));
    assert_eq!(opened.overlap(), jiff::SignedDuration::from_mins(1));
}

/// A shop of a hundred orders; `answer` may spoil what a request for `ids` would show.
async fn hundred(spoil: impl Fn(&[i64]) -> Option<ResponseTemplate> + Send + 'static) -> FakeShop {
    FakeShop::start(move |_, query| {
        let number = |name: &str| query[name].parse::<usize>().unwrap();
        let ids: Vec<i64> = match query.get("include") {
            Some(list) => list.split(',').map(|id| id.parse().unwrap()).collect(),
            None => (1..=100).skip(number("offset")).take(number("per_page")).collect(),
        };
        if query.contains_key("_fields") {
            return list(&ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
        }
        spoil(&ids)
            .unwrap_or_else(|| list(&ids.iter().map(|id| order(*id, LONG_AGO)).collect::<Vec<_>>()))
    })
    .await
}

#[tokio::test]
async fn one_order_that_kills_php_or_breaks_the_json_fails_alone() {
    let fatal = || {
        let page = read("responses/fault_fatal.txt");
        ResponseTemplate::new(500).set_body_raw(page, "text/html")
    };
    let broken = || {
        ResponseTemplate::new(200).set_body_raw("[{\"id\": 1, \"total\": \"}]", "application/json")
    };
    for spoilt in [1, 50, 100] {
        for kind in [true, false] {
            let shop = hundred(move |ids| {
                ids.contains(&spoilt).then(|| if kind { fatal() } else { broken() })
            })
            .await;
            let page = shop.first_page(Entity::Orders, Filters::default()).await.unwrap();
            assert_eq!(page.ids, (1..=100).collect::<Vec<i64>>());
            assert_eq!(page.records.iter().filter(|r| r.remote_type == "order").count(), 99);
            let failed: Vec<&str> = page.failures.iter().map(|f| f.remote_id.as_str()).collect();
            assert_eq!(failed, [spoilt.to_string()]);
            let ids = ["7".to_owned(), spoilt.to_string()];
            let again = shop.open().by_ids(&shop.stream(Entity::Orders), &ids).await.unwrap();
            assert_eq!(again.failures.len(), 1, "and again when it is tried by its id");
            assert!(again.records.iter().any(|r| r.remote_id == "7") && again.gone.is_empty());
        }
    }
}

#[tokio::test]
async fn a_shop_that_is_down_is_no_matter_of_records() {
    let shop = FakeShop::start(|_, _| {
        let page = read("responses/fault_db.txt");
        ResponseTemplate::new(500).set_body_raw(page, "text/html")
    })
    .await;
    let error = shop.first_page(Entity::Orders, Filters::default()).await.unwrap_err();
    assert_eq!(error.category, crate::Category::Network);
    let ids = ["7".to_owned()];
    let by_id = shop.open().by_ids(&shop.stream(Entity::Orders), &ids).await.unwrap_err();
    assert_eq!(by_id.category, crate::Category::Network);
}
