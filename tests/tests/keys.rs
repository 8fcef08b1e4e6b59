//! The key file: damaged, away for a moment, replaced by another one. Nothing is sealed with a key that
//! comes and goes, and `health` names what is wrong with its cure.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::process::private_file;
use easysync_tests::refusal::refused;
use serde_json::{Value, json};
use std::path::PathBuf;

fn key_file(bed: &Bed) -> PathBuf {
    bed.cluster.data_dir().join("easysync.keys")
}

fn health(bed: &mut Bed) -> Result<(String, String)> {
    let row =
        bed.db.query_one("select h ->> 'status', h ->> 'reasons' from easysync.health() h", &[])?;
    Ok((row.get(0), row.get(1)))
}

const CONNECT: &str = "select easysync.connect('second', 'woocommerce',
    settings => '{\"url\": \"https://second.example\"}',
    credentials => '{\"consumer_key\": \"ck_0123456789\", \"consumer_secret\": \"cs_0123456789\"}',
    verify => false)";

#[test]
fn a_damaged_key_file_shows_in_health_and_in_what_fails() -> Result<()> {
    with_bed("damaged-key", Setup::default(), |bed| {
        bed.connect_shop()?;
        let good = std::fs::read_to_string(key_file(bed))?;
        let mut short: Value = serde_json::from_str(&good)?;
        short["keys"][0]["key"] = json!("c2hvcnQ=");
        let mut swapped: Value = serde_json::from_str(&good)?;
        swapped["keys"][0]["key"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        let mut inactive: Value = serde_json::from_str(&good)?;
        inactive["active"] = json!("k-0000000000000000");
        for (damage, words) in [
            (String::new(), "no key list"),
            (good[..good.len() / 2].to_owned(), "no key list"),
            (short.to_string(), "32 bytes"),
            (swapped.to_string(), "not the one that its id names"),
            (inactive.to_string(), "is not in it"),
        ] {
            private_file(bed.cluster.environment(), &key_file(bed), &damage)?;
            let (status, reasons) = health(bed)?;
            ensure!(status == "down", "{status}: {reasons}");
            ensure!(reasons.contains("damaged") && reasons.contains(words), "{words}: {reasons}");
            ensure!(reasons.contains("Put the key file back"), "{reasons}");
            // Nothing takes the place of what is damaged.
            let refusal = refused(&mut bed.db, CONNECT, &[])?;
            refusal.assert("YS500", &["damaged", "word new"]);
            assert_eq!(std::fs::read_to_string(key_file(bed))?, damage);
        }
        let run = bed.sync("orders", "full")?;
        assert_eq!(run.status, "failed");
        let (_, reasons) = health(bed)?;
        ensure!(reasons.contains("failed before its first step"), "{reasons}");

        private_file(bed.cluster.environment(), &key_file(bed), &good)?;
        bed.sync_well("orders", "full")?;
        let (status, reasons) = health(bed)?;
        ensure!(!reasons.contains("damaged") && !reasons.contains("first step"), "{reasons}");
        assert_eq!(status, "degraded", "for the place of the key file alone: {reasons}");
        Ok(())
    })
}

#[test]
fn no_key_is_made_while_another_ones_seal_is_on_something() -> Result<()> {
    with_bed("absent-key", Setup::default(), |bed| {
        bed.connect_shop()?;
        let good = std::fs::read_to_string(key_file(bed))?;
        std::fs::remove_file(key_file(bed))?;
        for statement in [CONNECT, "select easysync.rotate_encryption_key('prepare')"] {
            let refusal = refused(&mut bed.db, statement, &[])?;
            refusal.assert("YS500", &["missing", "1 credentials", "word new"]);
            ensure!(!key_file(bed).exists(), "{statement} made a key file");
        }
        let (status, reasons) = health(bed)?;
        ensure!(status == "down" && reasons.contains("missing"), "{status}: {reasons}");
        private_file(bed.cluster.environment(), &key_file(bed), &good)?;
        bed.db.batch_execute(CONNECT)?;
        bed.sync_well("orders", "full")?;

        // Lost for good: its owner says so, in the file itself.
        private_file(bed.cluster.environment(), &key_file(bed), "new\n")?;
        let (status, reasons) = health(bed)?;
        ensure!(status == "down" && reasons.contains("asks for a new key"), "{status}: {reasons}");
        bed.db
            .execute(
                "select easysync.set_credentials('shop', $1)",
                &[&json!({"file": "shop.json"})],
            )
            .context("set_credentials")?;
        bed.sync_well("orders", "full")?;
        // The other one is named, with its cure.
        let (status, reasons) = health(bed)?;
        ensure!(
            status == "down"
                && reasons.contains("\\\"second\\\"")
                && reasons.contains("set_credentials"),
            "{status}: {reasons}"
        );
        ensure!(!reasons.contains("\\\"shop\\\""), "{reasons}");
        // Two keys never share an id.
        let ids: Vec<String> = bed
            .db
            .query("select distinct key_id from easysync_internal.connections", &[])?
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(ids.len(), 2, "{ids:?}");
        Ok(())
    })
}

#[test]
fn rotated_keys_open_what_each_sealed() -> Result<()> {
    with_bed("rotated-keys", Setup::default(), |bed| {
        bed.connect_shop()?;
        let count: i32 =
            bed.db.query_one("select easysync.rotate_encryption_key('prepare')", &[])?.get(0);
        assert_eq!(count, 0);
        bed.sync_well("orders", "full")?;
        let count: i32 =
            bed.db.query_one("select easysync.rotate_encryption_key('activate')", &[])?.get(0);
        assert_eq!(count, 1);
        bed.sync_well("orders", "full")?;
        let stored: Value = serde_json::from_str(&std::fs::read_to_string(key_file(bed))?)?;
        let keys = stored["keys"].as_array().context("keys")?;
        assert_eq!(keys.len(), 2);
        ensure!(keys[0]["id"] != keys[1]["id"]);
        Ok(())
    })
}

#[test]
fn a_renewed_authority_is_taken_without_a_reload() -> Result<()> {
    with_bed("renewed-ca", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let file = bed.cluster.dir().join("ca.pem");
        let good = std::fs::read_to_string(&file)?;
        // Renewed by one that the shop's certificate isn't from.
        private_file(bed.cluster.environment(), &file, OTHER_AUTHORITY)?;
        let run = bed.sync("orders", "full")?;
        ensure!(run.status == "failed", "the worker still trusts what is gone: {run:?}");
        private_file(bed.cluster.environment(), &file, &good)?;
        bed.db.batch_execute("select easysync.enable('shop')")?;
        bed.sync_well("orders", "full")?;
        Ok(())
    })
}

/// An authority that signed nothing.
const OTHER_AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBqjCCAU+gAwIBAgIUA9TE9+AL8wj1QO3r//f8nHHx8y8wCgYIKoZIzj0EAwIw
KTEnMCUGA1UEAwweYW5vdGhlciBhdXRob3JpdHkgb2YgdGhlIHRlc3RzMCAXDTI2
MTEzMDIyNDE1OVoYDzIxMjYxMTA2MjI0MTU5WjApMScwJQYDVQQDDB5hbm90aGVy
IGF1dGhvcml0eSBvZiB0aGUgdGVzdHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATGG4GbDfa71P9ShZjmMr2UeofzGpzDWt8TyuSpT7V4SScfZeGf+ZelBbTdr88Y
Qen1d+rYxK/A9O+ZhTDMyXbro1MwUTAdBgNVHQ4EFgQU5a1VKcx5nQ9ZSfSfHGX3
KsF2l2swHwYDVR0jBBgwFoAU5a1VKcx5nQ9ZSfSfHGX3KsF2l2swDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAkl293QLNjiGsjgDVaLL4NSfWJN7B
MtzHZaU9QiH+jIgCIQC2X60dy75YHB/YyY+9gC2qTwF23AbO7/K3VWSXBIN9tQ==
-----END CERTIFICATE-----
";
