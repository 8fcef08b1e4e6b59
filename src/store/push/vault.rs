//! Where OAuth tokens are kept: among the sealed credentials of their connection. A new set is
//! committed in a transaction of its own before anybody uses it.

use crate::error::{DbError, DbResult};
use crate::secrets::{self, Binding, Sealed};
use crate::store::PgStore;
use crate::store::spi::{self, Arg, required};
use async_trait::async_trait;
use engine::connector::quickbooks::auth::{RefreshToken, TokenSet, TokenVault};
use engine::store::{Connection, Secret};
use engine::{Error, Result};
use std::sync::Arc;

/// The tokens of one connection.
pub struct Vault {
    store: Arc<PgStore>,
    kept: Kept,
}

/// The row that keeps them, and the account that the connection had when it was opened: tokens of
/// another one, put there since, don't open for it.
#[derive(Clone)]
struct Kept {
    tenant: String,
    connection: String,
    binding: Result<Binding>,
}

impl Vault {
    pub fn new(store: Arc<PgStore>, connection: &Connection) -> Vault {
        let kept = Kept {
            tenant: connection.tenant.to_string(),
            connection: connection.name.to_string(),
            binding: Binding::of(connection),
        };
        Vault { store, kept }
    }
}

/// A look waits for nobody: a session may hold the row for long, and for this very look.
const LOOK: &str = "select key_id, sealed from easysync_internal.connections
  where tenant_id = $1 and name = $2 and sealed is not null";

/// The lock keeps two writers of one connection's tokens apart. (A statement that begins with
/// `select` is run as a read, which may lock nothing.)
const SEALED: &str = "with locked as (
        select key_id, sealed from easysync_internal.connections
         where tenant_id = $1 and name = $2 and sealed is not null for update)
 select key_id, sealed from locked";

const STORE: &str = "select easysync_internal.store_tokens($1, $2, $3, $4, $5::timestamptz)";

fn failed(error: Error) -> DbError {
    DbError::new("XX000", error.message)
}

fn read(sql: &str, kept: &Kept) -> DbResult<Option<Secret>> {
    let args = [kept.tenant.as_str().into(), kept.connection.as_str().into()];
    let rows = spi::rows(sql, &args, |row| {
        Ok(Sealed { key_id: Some(required(row, 1)?), bytes: Some(required(row, 2)?) })
    })?;
    let Some(sealed) = rows.into_iter().next() else { return Ok(None) };
    let binding = kept.binding.clone().map_err(failed)?;
    sealed.open(&binding).map(Some).map_err(failed)
}

/// Seals `tokens` among the credentials in place of those with the refresh token `old`. False:
/// others have taken their place.
fn put(kept: &Kept, old: &RefreshToken, tokens: &TokenSet) -> DbResult<bool> {
    let Some(secret) = read(SEALED, kept)? else { return Ok(false) };
    let stored = TokenSet::from_secret(&secret);
    let expected = stored.is_some_and(|stored| stored.refresh.secret() == old.secret());
    if !expected {
        return Ok(false);
    }
    let mut fields = secret.expose().clone();
    tokens.put(&mut fields);
    let binding = kept.binding.clone().map_err(failed)?;
    let (key_id, sealed) =
        secrets::seal_to_store(&binding, &Secret::new(fields)).map_err(failed)?;
    let args = [
        kept.tenant.as_str().into(),
        kept.connection.as_str().into(),
        key_id.as_str().into(),
        Arg::Bytes(Some(sealed)),
        tokens.grant_ends_at().to_string().as_str().into(),
    ];
    // A rotated token that a crash loses is a grant that is gone.
    spi::run("select pg_catalog.set_config('synchronous_commit', 'on', true)", &[])?;
    Ok(spi::one::<bool>(STORE, &args)? == Some(true))
}

/// Accounts that a person granted access to, of tenants that don't rest. While the database is fenced
/// none: it may not call anybody.
const GRANTED: &str = "select tenant_id, name, connector, account, settings, key_id, sealed,
        case when reads_month = pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC')::date
             then reads_used else 0 end
   from easysync_internal.connections
  where status = 'connected' and account is not null and sealed is not null
    and token_expires_at is not null
    and tenant_id <> all ((select easysync_internal.resting_tenants())::text[])
    and (select f.state from easysync_internal.fence_state() as f) <> 'fenced'";

impl PgStore {
    /// Connections with tokens, and the metered reads of each this month.
    pub async fn granted(&self) -> Result<Vec<(Connection, u64)>> {
        self.job(|| {
            spi::rows(GRANTED, &[], |row| {
                let sealed = Sealed { key_id: row.get(6)?, bytes: row.get(7)? };
                let used: i64 = required(row, 8)?;
                let bare = Connection {
                    tenant: required::<String>(row, 1)?.into(),
                    name: required::<String>(row, 2)?.into(),
                    connector: required(row, 3)?,
                    account: required(row, 4)?,
                    // What can't be read fails the calls of this connection alone.
                    settings: row.get(5).ok().flatten().unwrap_or_default(),
                    credentials: Secret::default(),
                };
                let connection = sealed.open_for(bare.clone()).unwrap_or(bare);
                Ok((connection, u64::try_from(used).unwrap_or(0)))
            })
        })
        .await
    }
}

#[async_trait]
impl TokenVault for Vault {
    async fn load(&self) -> Result<Option<TokenSet>> {
        let kept = self.kept.clone();
        let secret = self.store.job(move || read(LOOK, &kept)).await?;
        Ok(secret.as_ref().and_then(TokenSet::from_secret))
    }

    async fn store(&self, old: &RefreshToken, new: &TokenSet) -> Result<bool> {
        let (kept, old, new) = (self.kept.clone(), old.clone(), new.clone());
        self.store.job(move || put(&kept, &old, &new)).await
    }
}
