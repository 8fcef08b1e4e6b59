//! Encodings: a database that can't keep what a shop says is refused, and the client's encoding of a
//! session or a database changes nothing that is stored.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::compare::differences;
use easysync_tests::refusal::refused;
use serde_json::json;

/// Names that differ in each encoding, of one, two, three and four bytes in UTF-8.
const NAME: &str = "Müller Żółć 日本 😀";

#[test]
fn a_database_that_cant_keep_every_text_is_refused() -> Result<()> {
    with_bed("encodings", Setup::default(), |bed| {
        for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP", "WIN1252", "KOI8R"] {
            let name = format!("in_{}", encoding.to_lowercase());
            bed.db.batch_execute(&format!(
                "create database {name} encoding '{encoding}' locale 'C' template template0"
            ))?;
            let mut there = bed.cluster.client(&name)?;
            let refusal = refused(&mut there, "create extension easysync", &[])?;
            refusal.assert("0A000", &["UTF8", encoding, "TEMPLATE template0"]);
            let left: i64 = there
                .query_one("select count(*) from pg_namespace where nspname like 'easysync%'", &[])?
                .get(0);
            assert_eq!(left, 0, "{encoding}: something was left behind");
            println!("{encoding}: refused");
        }
        // UTF8 with a locale that knows no letters is as good.
        bed.db
            .batch_execute("create database in_c encoding 'UTF8' locale 'C' template template0")?;
        bed.cluster.client("in_c")?.batch_execute("create extension easysync")?;
        Ok(())
    })
}

/// Names an order's buyer, and returns the order's id.
fn name_a_buyer(bed: &Bed, name: &str) -> Result<String> {
    let shop = bed.simulator.shop()?;
    let id = shop.live_orders()[3]["id"].to_string();
    let person =
        json!({"first_name": name, "last_name": name, "email": "m@shop.test", "address_1": name});
    bed.simulator.update_order(&id, &json!({"billing": person}))?;
    Ok(id)
}

/// All that the hub holds of an order and its buyer.
fn stored(bed: &mut Bed, id: &str) -> Result<String> {
    bed.text(&format!(
        "select concat(o, c) from commerce.orders o left join commerce.customers c on c.id = o.customer_id
         where o.source_id = '{id}'"
    ))?
    .context("the order")
}

#[test]
fn the_clients_encoding_changes_nothing_that_is_stored() -> Result<()> {
    with_bed("client-encoding", Setup::default(), |bed| {
        // Of the database, and of the role that the worker signs in as.
        bed.db.batch_execute(
            "alter database shop set client_encoding = 'LATIN1';
             alter role postgres set client_encoding = 'SQL_ASCII';
             alter database shop set standard_conforming_strings = off;
             alter database shop set datestyle = 'German';
             alter database shop set timezone = 'Asia/Kolkata';
             alter database shop set intervalstyle = 'sql_standard';
             alter database shop set bytea_output = 'escape';
             alter database shop set quote_all_identifiers = on",
        )?;
        bed.cluster.restart()?;
        bed.reconnect()?;
        let id = name_a_buyer(bed, NAME)?;
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let shop = bed.simulator.shop()?;
        assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
        let text = stored(bed, &id)?;
        ensure!(text.contains(NAME), "{text}");

        // A change, by the other way in.
        let other = "Ünïcödé € ﷽";
        name_a_buyer(bed, other)?;
        bed.sync_well("orders", "incremental")?;
        let text = stored(bed, &id)?;
        ensure!(text.contains(other), "{text}");
        assert_eq!(bed.sync_well("orders", "full")?.written(), 0, "read anew, it is the same");

        // A session of another encoding tries it without writing.
        bed.simulator
            .update_order(&id, &json!({"billing": {"first_name": NAME, "address_1": NAME}}))?;
        let mut session = bed.client()?;
        session.batch_execute("begin; set local client_encoding = 'LATIN1'")?;
        session.batch_execute(
            "create temp table planned as select * from easysync.dry_run('orders', 'full')",
        )?;
        session.batch_execute("set local client_encoding = 'UTF8'")?;
        let planned: String = session
            .query_one("select coalesce(string_agg(p::text, ' '), '') from planned p", &[])?
            .get(0);
        ensure!(!planned.contains("Ã"), "mojibake in the preview: {planned}");
        Ok(())
    })
}
