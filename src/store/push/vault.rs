//! Where OAuth tokens are kept: among the sealed credentials of their connection. A new set is
//! committed in a transaction of its own before anybody uses it.

use crate::error::{DbError, DbResult};
use crate::secrets;
use crate::store::PgStore;
use crate::store::spi::{self, Arg, required};
use async_trait::async_trait;
use engine::Result;
use engine::connector::quickbooks::auth::{RefreshToken, TokenSet, TokenVault};
use engine::store::{Connection, Secret};
use std::sync::Arc;

/// The tokens of one connection.
pub struct Vault {
    store: Arc<PgStore>,
    tenant: String,
    connection: String,
}

impl Vault {
    pub fn new(store: Arc<PgStore>, connection: &Connection) -> Vault {
        Vault {
            store,
            tenant: connection.tenant.to_string(),
            connection: connection.name.to_string(),
        }
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

fn read(sql: &str, tenant: &str, connection: &str) -> DbResult<Option<Secret>> {
    let rows: Vec<(String, Vec<u8>)> =
        spi::rows(sql, &[tenant.into(), connection.into()], |row| {
            Ok((required(row, 1)?, required(row, 2)?))
        })?;
    let Some((key_id, sealed)) = rows.into_iter().next() else { return Ok(None) };
    let opened = secrets::open_stored(tenant, connection, Some(key_id), Some(sealed));
    opened.map(Some).map_err(|e| DbError::new("XX000", e.message))
}

/// Seals `tokens` among the credentials in place of those with the refresh token `old`. False:
/// others have taken their place.
fn put(tenant: &str, connection: &str, old: &RefreshToken, tokens: &TokenSet) -> DbResult<bool> {
    let Some(secret) = read(SEALED, tenant, connection)? else { return Ok(false) };
    let kept = TokenSet::from_secret(&secret);
    let expected = kept.is_some_and(|kept| kept.refresh.secret() == old.secret());
    if !expected {
        return Ok(false);
    }
    let mut fields = secret.expose().clone();
    tokens.put(&mut fields);
    let (key_id, sealed) = secrets::seal_to_store(tenant, connection, &Secret::new(fields))
        .map_err(|e| DbError::new("XX000", e.message))?;
    let args = [
        tenant.into(),
        connection.into(),
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
                let (tenant, name): (String, String) = (required(row, 1)?, required(row, 2)?);
                let (key_id, sealed) = (row.get::<String>(6)?, row.get::<Vec<u8>>(7)?);
                let opened = secrets::open_stored(&tenant, &name, key_id, sealed);
                let used: i64 = required(row, 8)?;
                let connection = Connection {
                    tenant: tenant.into(),
                    name: name.into(),
                    connector: required(row, 3)?,
                    account: required(row, 4)?,
                    settings: row.get::<pgrx::JsonB>(5)?.map(|json| json.0).unwrap_or_default(),
                    credentials: opened.unwrap_or_default(),
                };
                Ok((connection, u64::try_from(used).unwrap_or(0)))
            })
        })
        .await
    }
}

#[async_trait]
impl TokenVault for Vault {
    async fn load(&self) -> Result<Option<TokenSet>> {
        let (tenant, connection) = (self.tenant.clone(), self.connection.clone());
        let secret = self.store.job(move || read(LOOK, &tenant, &connection)).await?;
        Ok(secret.as_ref().and_then(TokenSet::from_secret))
    }

    async fn store(&self, old: &RefreshToken, new: &TokenSet) -> Result<bool> {
        let (tenant, connection) = (self.tenant.clone(), self.connection.clone());
        let (old, new) = (old.clone(), new.clone());
        self.store.job(move || put(&tenant, &connection, &old, &new)).await
    }
}
