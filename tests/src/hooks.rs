//! Deliveries made here, signed as a shop signs them.

use crate::bed::{Bed, credential_file};
use anyhow::{Context, Result};
use postgres::Client;
use serde_json::{Value, json};

/// The secret of the recorded deliveries.
pub const SECRET: &str = "whsec_\"q&'<ü> 1";

/// Connects the shop with that secret.
pub fn connect_with_secret(bed: &mut Bed) -> Result<()> {
    let mut pair = serde_json::to_value(bed.simulator.key("read_write")?)?;
    pair["webhook_secret"] = json!(SECRET);
    credential_file(&bed.cluster, "shop.json", &pair)?;
    bed.connect_shop()
}

/// Stores a delivery as whoever receives it would.
pub fn deliver(client: &mut Client, headers: &Value, body: &str) -> Result<()> {
    client
        .execute(
            "insert into easysync.webhook_events (connection, headers, body)
             values ('shop', $1, $2)",
            &[headers, &body],
        )
        .context("an insert into webhook_events")?;
    Ok(())
}

/// Headers of a delivery that the shop signed.
pub fn signed(db: &mut Client, topic: &str, body: &str) -> Result<Value> {
    let signature = signature(db, SECRET, body)?;
    Ok(json!({"x-wc-webhook-topic": topic, "x-wc-webhook-signature": signature}))
}

/// `base64(HMAC-SHA256(body, secret))`, with a secret of 64 bytes at most: made of Postgres' own
/// sha256, so that nothing of the engine proves itself.
pub fn signature(db: &mut Client, secret: &str, body: &str) -> Result<String> {
    let row = db.query_one(
        "select encode(sha256($3 || sha256($2 || convert_to($1, 'UTF8'))), 'base64')",
        &[&body, &padded(secret, 0x36), &padded(secret, 0x5c)],
    )?;
    Ok(row.get(0))
}

/// The secret as HMAC pads it (RFC 2104).
fn padded(secret: &str, with: u8) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..secret.len()].copy_from_slice(secret.as_bytes());
    block.iter().map(|byte| byte ^ with).collect()
}
