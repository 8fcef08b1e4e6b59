//! An operator wants to change where records go, or to have words run as SQL.

use super::{all_denied, calls_nothing_else, gains_nothing, with_role};
use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::refusal::refused;

pub const CLASS: &str = "an operator";
const ROLE: &str = "easysync_operator";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "an_operator_gains_no_rights", run: rights },
        Attack { name: "an_operator_calls_nothing_of_an_admin", run: calls },
        Attack { name: "an_operator_sends_nothing_elsewhere", run: elsewhere },
        Attack { name: "words_of_an_operator_are_no_sql", run: words },
    ]
}

fn rights() -> Result<()> {
    with_role("operator-rights", ROLE, gains_nothing)
}

fn calls() -> Result<()> {
    with_role("operator-calls", ROLE, |bed, eve| calls_nothing_else(bed, eve, ROLE))
}

fn elsewhere() -> Result<()> {
    with_role("operator-elsewhere", ROLE, |_, eve| {
        all_denied(
            eve,
            &[
                "select easysync.alter_connection('shop', '{\"url\":\"https://evil.example\"}')",
                "select easysync.set_credentials('shop', '{\"consumer_key\":\"ck_1\",\"consumer_secret\":\"cs_1\"}')",
                "select easysync.connect('evil', 'woocommerce', '{\"url\":\"https://evil.example\"}')",
                "select easysync.disconnect('shop')",
                "select easysync.set_setting('log_retention', '1 day')",
                "select easysync.create_hub('other')",
                "select easysync.unfence('copy')",
                "select easysync.rotate_encryption_key()",
                "select easysync.add_tenant_member('eve', 'default')",
            ],
        )
    })
}

fn words() -> Result<()> {
    with_role("operator-words", ROLE, |bed, eve| {
        let odd = "x'); drop table easysync_internal.connections; --";
        for statement in [
            "select easysync.trigger($1)",
            "select easysync.trigger('customers', $1)",
            "select easysync.trigger('customers', connection => $1)",
            "select easysync.disable($1, 'reason')",
            "select easysync.trigger('customers', 'full', filters => jsonb_build_object('status', $1::text, $1::text, 1))",
            "select easysync.schedule('customers', $1)",
        ] {
            let refusal = refused(eve, statement, &[&odd])?;
            ensure!(refusal.sqlstate != "XX000", "{statement}: {refusal:?}");
        }
        // Ids and reasons may be any text: they stay texts.
        let id: i64 = eve
            .query_one("select easysync.trigger('customers', 'ids', 'shop', array[$1])", &[&odd])
            .map(|row| row.get(0))
            .unwrap_or_default();
        if id > 0 {
            bed.wait(id)?;
        }
        eve.execute("select easysync.disable('shop', $1)", &[&format!("{odd}\u{1b}[31m")])?;
        eve.execute("select easysync.enable('shop')", &[])?;
        bed.sync_well("customers", "full")?;
        ensure!(bed.count("easysync_internal.connections")? == 1, "the connection is there");
        Ok(())
    })
}
