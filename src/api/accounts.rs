//! Opening an account: everything that `connect` and its kin need to know of settings, credentials
//! and the platform, in one call.

use super::tokens::fresh;
use crate::error::to_json;
use crate::secrets::{self, Binding, Sealed, base64_encode};
use crate::store::{PgStore, read_one};
use crate::{guc, host, worker};
use engine::clock::Clock;
use engine::connector::{self, Account, Check};
use engine::model::{Direction, Entity, Mode};
use engine::push::Walk;
use engine::store::{Connection, DeletePolicy, Filters, Run, Secret, Stream};
use engine::{Category, Error, Result};
use jiff::SignedDuration;
use pgrx::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a session looks through the hub's orders.
const LOOK: Duration = Duration::from_secs(10);

/// The answer of `open_account`: `errors`, or the account with its checks and sealed credentials.
pub fn open(
    tenant: &str,
    connection: &str,
    connector: &str,
    settings: Value,
    credentials: Option<Value>,
    verify: bool,
) -> Value {
    match try_open(tenant, connection, connector, settings, credentials, verify) {
        Ok(answer) => answer,
        Err(errors) => json!({ "errors": errors.iter().map(to_json).collect::<Vec<_>>() }),
    }
}

fn try_open(
    tenant: &str,
    connection: &str,
    connector: &str,
    settings: Value,
    given: Option<Value>,
    verify: bool,
) -> Result<Value, Vec<Error>> {
    let one = |error: Error| vec![error];
    let policy = guc::address_policy().map_err(one)?;
    let row = Row::read(tenant, connection).map_err(one)?;
    let bare = Connection {
        tenant: tenant.into(),
        name: connection.into(),
        connector: connector.to_owned(),
        account: row.as_ref().map(|row| row.connection.account.clone()).unwrap_or_default(),
        settings,
        credentials: Secret::default(),
    };
    let Obtained { secret, is_new, seals } = match given {
        Some(value) => Obtained::given(row.as_ref(), tenant, value).map_err(one)?,
        None => {
            connector::validate(connector, &bare.settings, None, &policy)?;
            Obtained::kept(row, &bare, verify).map_err(one)?
        }
    };
    let account_key = connector::validate(
        connector,
        &bare.settings,
        Some(&secret).filter(|secret| is_new || !secret.is_empty()),
        &policy,
    )?;
    check_sandbox(tenant, connection, connector, &bare.settings, &account_key).map_err(one)?;
    let reads_budget = connector::reads_budget(connector, &bare.settings, &policy);
    let opened = match account_key.is_empty() {
        true => Connection { credentials: secret, ..bare },
        false => Connection { credentials: secret, account: account_key.clone(), ..bare },
    };
    let sealed = match seals && !opened.credentials.is_empty() {
        true => {
            let binding = Binding::of(&opened).map_err(one)?;
            Some(secrets::seal_to_store(&binding, &opened.credentials).map_err(one)?)
        }
        false => None,
    };
    // Nobody has granted access yet: there is nothing to ask.
    let pending = connector == "quickbooks" && account_key.is_empty();
    let (account, checks) = match verify && !pending {
        true => ask(opened).map_err(one)?,
        false => (None, vec![]),
    };
    Ok(json!({
        "account_key": Some(&account_key).filter(|key| !key.is_empty()),
        "pending": pending,
        "reads_budget": reads_budget,
        "account_label": account.as_ref().map(|a| &a.label),
        "platform": account.as_ref().map(|a| &a.platform),
        "key_id": sealed.as_ref().map(|(key_id, _)| key_id),
        "sealed": sealed.as_ref().map(|(_, bytes)| base64_encode(bytes)),
        "checks": checks.iter().map(check_json).collect::<Vec<_>>(),
    }))
}

/// In a sandbox: not an account that is live, whatever its settings say. Seen before anybody is asked.
fn check_sandbox(
    tenant: &str,
    connection: &str,
    connector: &str,
    settings: &Value,
    account_key: &str,
) -> Result<()> {
    let read = Spi::connect(|client| {
        // Scripts that are older than the library know no sandbox.
        let known = "select to_regprocedure('easysync_internal.counterpart(text, text)') is null";
        if client.select(known, Some(1), &[])?.first().get_one::<bool>()? == Some(true) {
            return Ok((None, None));
        }
        let table = client.select(
            "select easysync_internal.is_twin($1), easysync_internal.counterpart($1, $2)",
            Some(1),
            &[tenant.into(), account_key.into()],
        )?;
        let row = table.first();
        Ok::<_, pgrx::spi::Error>((row.get::<bool>(1)?, row.get::<String>(2)?))
    });
    let (sandbox, live) = read.map_err(|e| Error::internal(e.to_string()))?;
    if sandbox != Some(true) {
        return Ok(());
    }
    if let Some(live) = live {
        return Err(Error::new(
            Category::Conflict,
            "account_is_live",
            format!(
                "the account of \"{connection}\" is live, as \"{live}\": the sandbox can not have it"
            ),
        )
        .hint(
            "Connect an account that is for trials: a staging shop, a company on QuickBooks' sandbox.",
        ));
    }
    connector::check_for_trials(connector, settings, &guc::address_policy()?)
}

/// Credentials as given: an object of secrets, or `{"file": "name"}`.
fn resolve(tenant: &str, value: Value) -> Result<Secret> {
    let hint = "Give a JSON object: {\"consumer_key\": ..., \"consumer_secret\": ...}, or {\"file\": \"name\"}.";
    let Value::Object(fields) = value else {
        return Err(Error::argument("credentials are not a JSON object", hint));
    };
    match fields.get("file") {
        None => Ok(Secret::new(fields)),
        Some(Value::String(name)) if fields.len() == 1 => {
            secrets::read_credential_file(guc::credential_dir().as_deref(), tenant, name)
        }
        Some(_) => Err(Error::argument(
            "credentials name a file and something else",
            "With {\"file\": \"name\"} everything is read from that file.",
        )),
    }
}

/// The credentials that an account is opened with.
struct Obtained {
    secret: Secret,
    /// Given in this call, by whoever knows where they belong.
    is_new: bool,
    /// To be sealed and stored.
    seals: bool,
}

impl Obtained {
    fn given(row: Option<&Row>, tenant: &str, value: Value) -> Result<Obtained> {
        let secret = with_webhook_secret(row, resolve(tenant, value)?);
        Ok(Obtained { secret, is_new: true, seals: true })
    }

    /// The stored ones, for `called` as its settings are to be. They are sealed for an account: a call
    /// to another one has none.
    fn kept(row: Option<Row>, called: &Connection, verify: bool) -> Result<Obtained> {
        let none = Obtained { secret: Secret::default(), is_new: false, seals: false };
        let Some(row) = row.filter(|row| row.sealed.bytes.is_some()) else { return Ok(none) };
        let before = &row.connection;
        let seals = Binding::of(before)? != Binding::of(called)?;
        let safer = || {
            before.connector == called.connector
                && connector::is_safer_way(&called.connector, &before.settings, &called.settings)
        };
        if seals && !safer() {
            return Err(other_account(called));
        }
        let kept = row.open()?;
        let secret = match verify {
            true => fresh(&kept)?,
            false => kept.credentials,
        };
        Ok(Obtained { secret, is_new: false, seals })
    }
}

/// Stored credentials are sent to the account that they were given for, and to no other.
fn other_account(called: &Connection) -> Error {
    let name = &called.name;
    Error::new(
        Category::Conflict,
        "other_account",
        format!(
            "\"{name}\" would become another account, and its credentials were given for this one"
        ),
    )
    .hint(format!(
        "Nothing was sent. Connect the other account with credentials of its own: easysync.connect \
         under another name, or under this one after SELECT easysync.disconnect('{name}');"
    ))
}

/// Other keys of the account don't change what its deliveries are signed with.
fn with_webhook_secret(row: Option<&Row>, given: Secret) -> Secret {
    // Old credentials that don't open any more are just what new ones are given for.
    let before = row.and_then(|row| row.open().ok()).map(|kept| kept.credentials);
    let before = before.unwrap_or_default();
    let mut fields = given.expose().clone();
    for field in ["webhook_secret", "webhook_verifier_token"] {
        if let (false, Some(secret)) = (fields.contains_key(field), before.get(field)) {
            fields.insert(field.to_owned(), json!(secret));
        }
    }
    Secret::new(fields)
}

/// A row of `connections`.
pub(super) struct Row {
    connection: Connection,
    sealed: Sealed,
}

impl Row {
    /// The row, its credentials still sealed; None: there is no such connection.
    fn read(tenant: &str, name: &str) -> Result<Option<Row>> {
        let row = Spi::connect(|client| {
            let table = client.select(
                "select connector, coalesce(account, ''), settings, key_id, sealed
                   from easysync_internal.connections where tenant_id = $1 and name = $2",
                Some(1),
                &[tenant.into(), name.into()],
            )?;
            if table.is_empty() {
                return Ok(None);
            }
            let row = table.first();
            Ok::<_, pgrx::spi::Error>(Some(Row {
                connection: Connection {
                    tenant: tenant.into(),
                    name: name.into(),
                    connector: row.get::<String>(1)?.unwrap_or_default(),
                    account: row.get::<String>(2)?.unwrap_or_default(),
                    settings: row.get::<pgrx::JsonB>(3)?.map(|json| json.0).unwrap_or_default(),
                    credentials: Secret::default(),
                },
                sealed: Sealed { key_id: row.get(4)?, bytes: row.get(5)? },
            }))
        });
        row.map_err(|e| Error::internal(e.to_string()))
    }

    fn open(&self) -> Result<Connection> {
        self.sealed.open_for(self.connection.clone())
    }
}

/// A connection as it is stored, with its credentials: for calls to the account that it is connected
/// to.
pub(super) fn stored(tenant: &str, name: &str) -> Result<Connection> {
    match Row::read(tenant, name)? {
        Some(row) => row.open(),
        None => Err(Error::internal(format!("there is no connection \"{name}\""))),
    }
}

/// The credentials that are stored now, for the account of `known`: what was stored for another one in
/// the meantime doesn't open.
pub(super) fn stored_for(known: &Connection) -> Result<Secret> {
    match Row::read(known.tenant.as_str(), known.name.as_str())? {
        Some(row) => row.sealed.open(&Binding::of(known)?),
        None => Ok(Secret::default()),
    }
}

/// Asks the platform, on a side thread: Ctrl-C ends it.
fn ask(connection: Connection) -> Result<(Option<Account>, Vec<Check>)> {
    let http = worker::http_context()?;
    let cancel = CancellationToken::new();
    // An error raised here (Ctrl-C) drops the guard, and with it every request in hand.
    let _guard = cancel.clone().drop_guard();
    let connection = Arc::new(connection);
    let has_hub = has_hub(connection.tenant.as_str())?;
    host::block_on_with(move |bridge| async move {
        let clock = Arc::clone(&http.config.clock);
        let http = http.with_cancel(cancel);
        let connector = connector::build(&connection, &http)?;
        let mut checks = connector.check().await;
        if checks.iter().any(|check| !check.ok) {
            return Ok((None, checks));
        }
        let account = connector.account().await?;
        if has_hub {
            let store = Arc::new(PgStore::new(bridge, 0, LOOK));
            checks.extend(connector.check_hub(&walk(store, clock, connection)).await);
        }
        Ok((Some(account), checks))
    })?
}

/// Before the first `connect` there is nothing to look at.
fn has_hub(tenant: &str) -> Result<bool> {
    let found =
        read_one::<bool>("select easysync_internal.hub_schema($1) is not null", &[tenant.into()]);
    Ok(found.map_err(Error::from)?.unwrap_or(false))
}

/// All orders of the hub, as the connection would be sent them.
pub(super) fn walk(
    store: Arc<PgStore>,
    clock: Arc<dyn Clock>,
    connection: Arc<Connection>,
) -> Walk {
    let run = Run {
        sync_id: 0,
        tenant: connection.tenant.clone(),
        entity: Entity::Orders,
        mode: Mode::Full,
        connection: Some(connection.name.clone()),
        ids: None,
        filters: Filters::default(),
        resumed: false,
        dry_run: true,
        undoes: None,
        agreed: false,
    };
    let stream = Stream {
        connection,
        entity: Entity::Orders,
        direction: Direction::Push,
        filters: Filters::default(),
        delete_policy: DeletePolicy::Keep,
        rules: None,
    };
    let time = SignedDuration::try_from(LOOK).unwrap_or(SignedDuration::MAX);
    Walk { store, clock, run, stream, time }
}

fn check_json(check: &Check) -> Value {
    json!({
        "name": check.name,
        "ok": check.ok,
        "message": engine::mask::clean(&check.message),
        "hint": check.hint.as_deref().map(engine::mask::clean),
        "duration_ms": check.duration_ms,
        "error": check.error.as_ref().map(to_json),
    })
}
