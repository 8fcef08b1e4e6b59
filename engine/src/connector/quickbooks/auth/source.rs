//! Where access tokens come from while a run works.

use super::app::App;
use super::reauthorize;
use super::tokens::TokenSet;
use crate::clock::Clock;
use crate::error::{Category, Error, Result};
use async_trait::async_trait;
use oauth2::{AccessToken, RefreshToken};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How often a new token is offered to the vault before the refresh counts as failed.
const STORE_ATTEMPTS: u32 = 5;

/// Hands out access tokens of one connection.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that should be good.
    async fn current(&self) -> Result<AccessToken>;

    /// A good token of what is stored now, whatever is known here: a person may have granted access
    /// anew. For those who read what is stored.
    async fn stored(&self) -> Result<AccessToken> {
        self.current().await
    }

    /// A token after `stale` was refused. Many may ask at once: one refresh is made.
    async fn refreshed(&self, stale: &AccessToken) -> Result<AccessToken>;
}

/// Where the tokens of one connection are kept.
#[async_trait]
pub trait TokenVault: Send + Sync {
    /// What is stored now. None: nobody has granted access.
    async fn load(&self) -> Result<Option<TokenSet>>;

    /// Puts `new` in the place of the set with the refresh token `old`, committed durably when
    /// this returns. False: another set has taken its place meanwhile, and nothing was stored.
    async fn store(&self, old: &RefreshToken, new: &TokenSet) -> Result<bool>;
}

/// What is asked for.
enum Wish {
    Good,
    Stored,
    NotThis(AccessToken),
}

/// The worker's source: renews tokens, one at a time, and hands out a new one only once it is
/// committed. One for each connection, shared by all of its runs.
pub struct Refresher {
    inner: Arc<Inner>,
}

struct Inner {
    app: App,
    vault: Arc<dyn TokenVault>,
    clock: Arc<dyn Clock>,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    known: Option<TokenSet>,
    /// Given by Intuit and not stored yet, with the refresh token it replaces: it is the only copy.
    unstored: Option<(RefreshToken, TokenSet)>,
}

impl Refresher {
    /// `app` must belong to a context that isn't cancelled with a run.
    pub fn new(app: App, vault: Arc<dyn TokenVault>, clock: Arc<dyn Clock>) -> Refresher {
        Refresher { inner: Arc::new(Inner { app, vault, clock, turn: Mutex::default() }) }
    }

    /// In a task of its own: whoever asked may be cancelled, but between the answer and its
    /// storing nothing may stop, or the grant is lost.
    async fn detached(&self, wish: Wish) -> Result<AccessToken> {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move { inner.token(&wish).await });
        task.await.map_err(|e| Error::internal(format!("a token refresh died: {e}")))?
    }
}

#[async_trait]
impl TokenSource for Refresher {
    async fn current(&self) -> Result<AccessToken> {
        self.detached(Wish::Good).await
    }

    async fn stored(&self) -> Result<AccessToken> {
        self.detached(Wish::Stored).await
    }

    async fn refreshed(&self, stale: &AccessToken) -> Result<AccessToken> {
        self.detached(Wish::NotThis(stale.clone())).await
    }
}

impl Inner {
    async fn token(&self, wish: &Wish) -> Result<AccessToken> {
        let mut turn = self.turn.lock().await;
        self.store_unstored(&mut turn).await?;
        let stale = match wish {
            Wish::NotThis(stale) => Some(stale),
            Wish::Good | Wish::Stored => None,
        };
        let known = turn.known.as_ref().filter(|_| !matches!(wish, Wish::Stored));
        if let Some(good) = known.and_then(|set| self.good(set, stale)) {
            return Ok(good);
        }
        // A person may have granted access anew, or another process of ours may have refreshed.
        let stored = self.vault.load().await?.ok_or_else(not_granted)?;
        if let Some(good) = self.good(&stored, stale) {
            turn.known = Some(stored);
            return Ok(good);
        }
        self.renew(&mut turn, stored, stale).await
    }

    /// The set's access token, unless it is the refused one or about to end.
    fn good(&self, set: &TokenSet, stale: Option<&AccessToken>) -> Option<AccessToken> {
        let refused = stale.is_some_and(|stale| stale.secret() == set.access.secret());
        (!refused && set.is_fresh(self.clock.now())).then(|| set.access.clone())
    }

    async fn renew(
        &self,
        turn: &mut Turn,
        stored: TokenSet,
        stale: Option<&AccessToken>,
    ) -> Result<AccessToken> {
        let used = match self.app.refresh(&stored).await {
            Ok(new) => {
                turn.unstored = Some((stored.refresh.clone(), new));
                return self.hand_out(turn).await;
            }
            Err(error) if error.code == "reauthorize" => (stored, error),
            Err(error) => return Err(error),
        };
        // The token may have been refused because it was replaced under our hands: read once more.
        let (old, error) = used;
        let again = self.vault.load().await?.ok_or_else(not_granted)?;
        if again.refresh.secret() == old.refresh.secret() {
            return Err(error);
        }
        if let Some(good) = self.good(&again, stale) {
            turn.known = Some(again);
            return Ok(good);
        }
        let new = self.app.refresh(&again).await?;
        turn.unstored = Some((again.refresh, new));
        self.hand_out(turn).await
    }

    async fn hand_out(&self, turn: &mut Turn) -> Result<AccessToken> {
        self.store_unstored(turn).await?;
        let known = turn.known.as_ref();
        known.map(|set| set.access.clone()).ok_or_else(|| Error::internal("a token got lost"))
    }

    /// Commits what Intuit gave. Where the vault refuses to answer, the set stays here and is
    /// offered again by the next call.
    async fn store_unstored(&self, turn: &mut Turn) -> Result<()> {
        for attempt in 1.. {
            let Some((old, new)) = &turn.unstored else { return Ok(()) };
            match self.vault.store(old, new).await {
                Ok(true) => {
                    turn.known = turn.unstored.take().map(|(_, new)| new);
                    return Ok(());
                }
                // Somebody else put a set there: theirs counts.
                Ok(false) => {
                    turn.unstored = None;
                    turn.known = Some(self.vault.load().await?.ok_or_else(not_granted)?);
                    return Ok(());
                }
                Err(error) if attempt >= STORE_ATTEMPTS => return Err(error),
                Err(_) => self.clock.sleep(Duration::from_secs(1)).await,
            }
        }
        Ok(())
    }
}

fn not_granted() -> Error {
    reauthorize("nobody has granted access to the books yet")
}

/// A session's source: it never refreshes, since a rollback would lose the new token and with it
/// the grant. It hands out what is stored as long as that is good.
pub struct SessionTokens {
    tokens: Option<TokenSet>,
    clock: Arc<dyn Clock>,
}

impl SessionTokens {
    pub fn new(tokens: Option<TokenSet>, clock: Arc<dyn Clock>) -> SessionTokens {
        SessionTokens { tokens, clock }
    }
}

#[async_trait]
impl TokenSource for SessionTokens {
    async fn current(&self) -> Result<AccessToken> {
        let tokens = self.tokens.as_ref().ok_or_else(not_granted)?;
        if self.clock.now() >= tokens.expires_at {
            return Err(expired());
        }
        Ok(tokens.access.clone())
    }

    async fn refreshed(&self, _stale: &AccessToken) -> Result<AccessToken> {
        Err(expired())
    }
}

fn expired() -> Error {
    Error::new(
        Category::Authentication,
        "token_expired",
        "the access token of this connection has expired, and a session does not renew it",
    )
    .hint("The worker renews it; SELECT * FROM easysync.health(); says whether one is running.")
}
