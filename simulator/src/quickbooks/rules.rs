//! Which of the rules are in force, and how strictly: what Intuit leaves open or changed over time
//! can be switched, and tests can tighten or relax what they are about.

use serde::{Deserialize, Serialize};

/// What happens to a write whose `requestid` was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestIds {
    /// The first answer again, byte for byte; a different body gets it, too.
    Replay,
    /// The first answer again; a different body is refused with 600.
    RejectChanged,
    /// As if the parameter didn't exist: every write acts.
    Ignore,
}

/// What happens without `Accept: application/json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptRule {
    /// XML, as QuickBooks does.
    Xml,
    /// 406 with a text that says what is missing.
    Refuse,
}

/// Among which documents a `DocNumber` must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberScope {
    /// All sales documents together.
    Sales,
    /// Each type for itself.
    Type,
}

/// What `changedSince` earlier than 30 days ago gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldCdc {
    /// 400.
    Error,
    /// What changed in the last 30 days.
    Truncate,
}

/// The spelling of webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// A JSON array of CloudEvents.
    CloudEvents,
    /// `eventNotifications`, as until 2026.
    Legacy,
}

/// How a webhook delivery goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mishap {
    /// Each delivery comes twice.
    Duplicate,
    /// Events stand in reverse order.
    Reorder,
    /// Nothing is delivered, and nothing comes later.
    Drop,
    /// Signed with another token.
    WrongSignature,
    /// `text/plain`.
    WrongContentType,
}

/// All switches of one company. Times are in seconds of the simulated clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// From an access token's issue to its end.
    pub access_token_seconds: i64,
    /// How long a refresh gives the same refresh token back; 0: a new one each time.
    pub refresh_value_seconds: i64,
    /// How long a superseded refresh token goes on to work.
    pub old_refresh_grace_seconds: i64,
    /// From a refresh token's issue to its end.
    pub refresh_idle_seconds: i64,
    /// From the grant to its end, whatever is refreshed.
    pub refresh_hard_seconds: i64,
    /// What a missing `Accept` gets.
    pub accept: AcceptRule,
    /// False: no 429 at all.
    pub throttle: bool,
    /// Of all apps, to the company.
    pub calls_per_minute: usize,
    /// Of one app.
    pub calls_per_second: usize,
    /// Of one app, under way.
    pub calls_at_once: usize,
    /// Of one app; 40 or 120, Intuit's page says both.
    pub batches_per_minute: usize,
    /// How long 429 lasts once it was drawn.
    pub throttle_seconds: i64,
    /// Metered reads a calendar month; then reads are blocked.
    pub reads_per_month: u64,
    /// What a used `requestid` does.
    pub request_ids: RequestIds,
    /// Refusals are kept and replayed under their `requestid`, too.
    pub replay_failures: bool,
    /// How long answers are kept for replay.
    pub request_id_seconds: i64,
    /// Where a number counts as taken.
    pub number_scope: NumberScope,
    /// `CurrencyRef` must be sent with transactions when multicurrency is on.
    pub currency_required: bool,
    /// Outside the US: amounts sent in `TaxLine` are honoured; false: always computed anew.
    pub tax_line_override: bool,
    /// Chance from 0 to 100 that a write with an inventory item meets the 6000 lock.
    pub inventory_lock_percent: u8,
    /// Error texts in French; codes stay.
    pub french: bool,
    /// What a `changedSince` long ago gets.
    pub old_cdc: OldCdc,
    /// Simulated milliseconds that every API call takes: the server itself moves the shared clock.
    pub call_takes_ms: i64,
    /// How webhooks are written.
    pub webhooks: WebhookFormat,
    /// From a change to its delivery; changes in between are one delivery.
    pub webhook_delay_seconds: i64,
    /// Events of several companies may stand in one delivery.
    pub webhook_mixed_realms: bool,
    /// What goes wrong with every delivery from now on.
    pub webhook_mishaps: Vec<Mishap>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            access_token_seconds: 3_600,
            refresh_value_seconds: 86_400,
            old_refresh_grace_seconds: 0,
            refresh_idle_seconds: 8_726_400,
            refresh_hard_seconds: 157_766_400,
            accept: AcceptRule::Xml,
            throttle: true,
            calls_per_minute: 500,
            calls_per_second: 10,
            calls_at_once: 10,
            batches_per_minute: 40,
            throttle_seconds: 60,
            reads_per_month: 500_000,
            request_ids: RequestIds::Replay,
            replay_failures: false,
            request_id_seconds: 7 * 86_400,
            number_scope: NumberScope::Sales,
            currency_required: true,
            tax_line_override: true,
            inventory_lock_percent: 0,
            french: false,
            old_cdc: OldCdc::Error,
            call_takes_ms: 0,
            webhooks: WebhookFormat::CloudEvents,
            webhook_delay_seconds: 2,
            webhook_mixed_realms: true,
            webhook_mishaps: vec![],
        }
    }
}

impl Rules {
    /// These rules with those named in `changes` replaced.
    ///
    /// Errors: a text that names an unknown rule or a wrong value.
    pub fn changed(&self, changes: &serde_json::Value) -> Result<Rules, String> {
        let mut all = serde_json::to_value(self).map_err(|e| e.to_string())?;
        let changes = changes.as_object().ok_or("rules are a JSON object")?;
        for (name, value) in changes {
            all[name.as_str()] = value.clone();
        }
        serde_json::from_value(all).map_err(|e| format!("rules: {e}"))
    }
}
