//! A sync as `easysync.sync_runs` shows it.

use anyhow::{Context, Result};
use postgres::Client;

/// What a sync did, or has done so far.
#[derive(Debug, Clone)]
pub struct Run {
    pub sync_id: i64,
    pub status: String,
    pub created: i64,
    pub updated: i64,
    pub deleted: i64,
    pub unchanged: i64,
    pub failed: i64,
    pub records_done: i64,
    pub api_calls: i64,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
}

impl Run {
    pub fn read(client: &mut Client, sync_id: i64) -> Result<Self> {
        let row = client
            .query_one(
                "select sync_id, status, coalesce(created, 0), coalesce(updated, 0),
                        coalesce(deleted, 0), coalesce(unchanged, 0), coalesce(failed, 0),
                        coalesce(records_done, 0), coalesce(api_calls, 0),
                        error_code, error_message
                 from easysync.sync_status($1)",
                &[&sync_id],
            )
            .context("easysync.sync_status")?;
        Ok(Self {
            sync_id: row.get(0),
            status: row.get(1),
            created: row.get(2),
            updated: row.get(3),
            deleted: row.get(4),
            unchanged: row.get(5),
            failed: row.get(6),
            records_done: row.get(7),
            api_calls: row.get(8),
            error_code: row.get(9),
            error_message: row.get(10),
        })
    }

    pub fn has_ended(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "running" | "awaiting_confirmation")
    }

    /// Records that were written, whatever way.
    pub fn written(&self) -> i64 {
        self.created + self.updated + self.deleted
    }
}
