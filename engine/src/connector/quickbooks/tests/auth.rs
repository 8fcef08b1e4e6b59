//! OAuth: the way through the browser, tokens, and who refreshes when.

use super::super::auth::{App, Callback, Endpoints, Refresher, SessionTokens, State};
use super::super::auth::{TokenSet, TokenSource, TokenVault};
use super::server::{Reply, Seen, Server, json};
use super::{TestClock, fixture, http, tokens};
use crate::clock::Clock;
use crate::error::{Category, Error, Result};
use crate::http::Url;
use crate::store::Secret;
use async_trait::async_trait;
use jiff::SignedDuration;
use oauth2::{AccessToken, RefreshToken};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const KEY: [u8; 32] = [7; 32];

fn app(server: &Server, clock: &Arc<TestClock>) -> App {
    let endpoints = Endpoints::at(&Url::parse(&server.url()).unwrap());
    App::new("ABclient", "s3cret", endpoints, &http(clock.clone()))
}

fn state(clock: &TestClock) -> State {
    let (tenant, connection) = ("acme".into(), "books".into());
    State::new(&tenant, &connection, "https://pos.test/back?x=1", clock.now(), &[9; 16])
}

/// Gives `at-2`, `rt-2`, then `at-3`, `rt-3`, ... and takes only the newest refresh token.
fn rotating() -> impl Fn(&Seen, usize) -> Reply {
    let generation = AtomicUsize::new(1);
    move |seen, _| {
        let current = format!("refresh_token=rt-{}", generation.load(Ordering::SeqCst));
        if !seen.body.split('&').any(|pair| pair == current) {
            return json(400, fixture("oauth_errors.json")[0]["body"].clone());
        }
        let next = generation.fetch_add(1, Ordering::SeqCst) + 1;
        let mut body = fixture("oauth_token_response_hard_expiry.json");
        body["access_token"] = format!("at-{next}").into();
        body["refresh_token"] = format!("rt-{next}").into();
        json(200, body)
    }
}

#[derive(Default)]
struct Vault {
    stored: Mutex<Option<TokenSet>>,
    /// Stores that fail before one works.
    refusals: AtomicUsize,
    /// Put in place behind everybody's back at the next refused refresh.
    replacement: Mutex<Option<TokenSet>>,
    loads: AtomicUsize,
}

impl Vault {
    fn with(set: TokenSet) -> Arc<Vault> {
        Arc::new(Vault { stored: Mutex::new(Some(set)), ..Vault::default() })
    }

    fn refresh_token(&self) -> String {
        self.stored.lock().unwrap().as_ref().unwrap().refresh.secret().clone()
    }
}

#[async_trait]
impl TokenVault for Vault {
    async fn load(&self) -> Result<Option<TokenSet>> {
        if self.loads.fetch_add(1, Ordering::SeqCst) > 0
            && let Some(set) = self.replacement.lock().unwrap().take()
        {
            *self.stored.lock().unwrap() = Some(set);
        }
        Ok(self.stored.lock().unwrap().clone())
    }

    async fn store(&self, old: &RefreshToken, new: &TokenSet) -> Result<bool> {
        let left = self.refusals.load(Ordering::SeqCst);
        if left > 0 {
            self.refusals.store(left - 1, Ordering::SeqCst);
            return Err(Error::internal("the database restarts"));
        }
        let mut stored = self.stored.lock().unwrap();
        let same = stored.as_ref().is_some_and(|set| set.refresh.secret() == old.secret());
        if same {
            *stored = Some(new.clone());
        }
        Ok(same)
    }
}

#[tokio::test]
async fn the_authorize_address_carries_a_signed_state_and_the_scope_of_the_books() {
    let server = Server::start(rotating()).await;
    let clock = TestClock::new();
    let address = app(&server, &clock).authorize_url(&state(&clock), &KEY).unwrap();
    let url = Url::parse(&address).unwrap();
    let get = |name: &str| url.query_pairs().find(|(k, _)| k == name).unwrap().1.into_owned();
    assert_eq!(url.path(), "/connect/oauth2");
    assert_eq!((get("client_id"), get("response_type")), ("ABclient".into(), "code".into()));
    assert_eq!(get("scope"), "com.intuit.quickbooks.accounting");
    assert_eq!(get("redirect_uri"), "https://pos.test/back?x=1");
    assert!(!address.contains("s3cret"));
    assert_eq!(State::open(&get("state"), &KEY, clock.now()).unwrap(), state(&clock));
}

#[test]
fn a_state_is_good_for_ten_minutes_and_for_the_key_that_signed_it() {
    let clock = TestClock::new();
    let sealed = state(&clock).seal(&KEY).unwrap().0;
    let open = |text: &str, key: [u8; 32]| State::open(text, &key, clock.now());
    assert_eq!(open(&sealed, KEY).unwrap(), state(&clock));
    let mut forged = sealed.clone().into_bytes();
    forged[3] ^= 1;
    for wrong in [String::from_utf8(forged).unwrap(), String::new(), ".".into(), "a.b.c".into()] {
        let error = open(&wrong, KEY).unwrap_err();
        assert_eq!((error.category, error.sqlstate()), (Category::Authentication, "YS401"));
    }
    assert!(open(&sealed, [8; 32]).is_err());
    clock.advance(SignedDuration::from_secs(599));
    open(&sealed, KEY).unwrap();
    clock.advance(SignedDuration::from_secs(1));
    let error = State::open(&sealed, &KEY, clock.now()).unwrap_err();
    assert!(error.message.contains("ten minutes"), "{error}");
}

#[test]
fn an_answer_through_the_browser_is_read_and_a_no_is_told_as_one() {
    let good = Callback::parse("https://app.test/cb?code=AB11&state=x.y&realmId=9341450000000001");
    let good = good.unwrap();
    assert_eq!((good.code.secret().as_str(), good.state.as_str()), ("AB11", "x.y"));
    assert_eq!(good.realm.as_str(), "9341450000000001");
    let no = Callback::parse("https://app.test/cb?error=access_denied&state=x.y").unwrap_err();
    assert_eq!((no.code.as_str(), no.sqlstate()), ("access_denied", "YS401"));
    for wrong in [
        "nothing",
        "https://app.test/cb",
        "https://app.test/cb?code=AB11&state=x",
        "https://app.test/cb?code=AB11&state=x&realmId=../../etc",
        "https://app.test/cb?code=&state=x&realmId=9341450000000001",
    ] {
        assert_eq!(Callback::parse(wrong).unwrap_err().sqlstate(), "22023", "{wrong}");
    }
}

#[tokio::test]
async fn a_code_becomes_tokens_with_the_ends_that_the_answer_names() {
    let server = Server::start(|_, _| json(200, fixture("oauth_token_response.json"))).await;
    let clock = TestClock::new();
    let callback = format!("https://p.test/back?code=AB11&state=s&realmId={}", super::REALM);
    let callback = Callback::parse(&callback).unwrap();
    let set = app(&server, &clock).exchange(&callback, "https://p.test/back").await.unwrap();
    assert_eq!(set.expires_at, clock.now() + SignedDuration::from_secs(3600));
    assert_eq!(set.refresh_expires_at, clock.now() + SignedDuration::from_secs(8_726_400));
    assert_eq!((set.hard_expires_at, set.realm.as_str()), (None, super::REALM));
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/oauth2/v1/tokens/bearer");
    assert_eq!(seen.header("authorization"), Some("Basic QUJjbGllbnQ6czNjcmV0"));
    assert!(seen.body.contains("grant_type=authorization_code"));
    assert!(seen.body.contains("redirect_uri=https%3A%2F%2Fp.test%2Fback"));
}

#[tokio::test]
async fn an_answer_without_an_access_token_is_no_success() {
    for body in [fixture("oauth_errors.json")[2]["body"].clone(), serde_json::json!({"a": 1})] {
        let server = Server::start(move |_, _| json(200, body.clone())).await;
        let clock = TestClock::new();
        let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
        let source = Refresher::new(app(&server, &clock), vault.clone(), clock.clone());
        let error = source.refreshed(&AccessToken::new("at-1".into())).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retryable), ("no_token", true));
        assert_eq!(vault.refresh_token(), "rt-1", "what is stored stays");
    }
}

#[tokio::test]
async fn a_refresh_is_stored_before_its_token_is_handed_out() {
    let server = Server::start(rotating()).await;
    let clock = TestClock::new();
    let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
    let source = Refresher::new(app(&server, &clock), vault.clone(), clock.clone());
    assert_eq!(source.current().await.unwrap().secret(), "at-1");
    let new = source.refreshed(&AccessToken::new("at-1".into())).await.unwrap();
    assert_eq!((new.secret().as_str(), vault.refresh_token().as_str()), ("at-2", "rt-2"));
    let seen = &server.seen()[0];
    assert_eq!(seen.header("x-include-refresh-token-hard-expires-in"), Some("true"));
    let stored = vault.stored.lock().unwrap().clone().unwrap();
    let end = clock.now() + SignedDuration::from_secs(156_032_154);
    assert_eq!(stored.hard_expires_at, Some(end));
    assert_eq!(stored.grant_ends_at(), stored.refresh_expires_at);
}

#[tokio::test]
async fn a_vault_that_fails_for_a_while_loses_no_token() {
    let server = Server::start(rotating()).await;
    let clock = TestClock::new();
    let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
    vault.refusals.store(7, Ordering::SeqCst);
    let source = Refresher::new(app(&server, &clock), vault.clone(), clock.clone());
    let stale = AccessToken::new("at-1".into());
    source.refreshed(&stale).await.unwrap_err();
    assert_eq!(vault.refresh_token(), "rt-1");
    assert_eq!(source.refreshed(&stale).await.unwrap().secret(), "at-2");
    assert_eq!((vault.refresh_token().as_str(), server.seen().len()), ("rt-2", 1));
}

#[tokio::test]
async fn many_who_find_the_token_refused_make_one_refresh() {
    let server = Server::start(rotating()).await;
    let clock = TestClock::new();
    let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
    let source = Arc::new(Refresher::new(app(&server, &clock), vault, clock.clone()));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.refreshed(&AccessToken::new("at-1".into())).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().secret(), "at-2");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_token_about_to_end_is_renewed_before_a_call_finds_out() {
    let server = Server::start(rotating()).await;
    let clock = TestClock::new();
    let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
    let source = Refresher::new(app(&server, &clock), vault, clock.clone());
    clock.advance(SignedDuration::from_mins(56));
    assert_eq!(source.current().await.unwrap().secret(), "at-1");
    clock.advance(SignedDuration::from_mins(2));
    assert_eq!(source.current().await.unwrap().secret(), "at-2");
}

#[tokio::test]
async fn a_refresh_goes_on_when_whoever_asked_is_cancelled() {
    let server = Server::start(rotating()).await;
    let clock = TestClock::new();
    let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
    let source = Refresher::new(app(&server, &clock), vault.clone(), clock.clone());
    {
        let stale = AccessToken::new("at-1".into());
        let asked = source.refreshed(&stale);
        tokio::pin!(asked);
        // Polled once, so that the task has begun; then dropped.
        assert!(futures_poll(asked.as_mut()).await.is_none());
    }
    for _ in 0..500 {
        if vault.refresh_token() == "rt-2" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the new token was never stored");
}

async fn futures_poll<F: Future + Unpin>(future: F) -> Option<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(move |context| {
        let mut taken = future.take().unwrap();
        match std::pin::Pin::new(&mut taken).poll(context) {
            std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        }
    })
    .await
}

#[tokio::test]
async fn a_grant_that_is_gone_asks_for_a_person() {
    for case in 0..3 {
        let body = fixture("oauth_errors.json")[case]["body"].clone();
        let server = Server::start(move |_, _| json(400, body.clone())).await;
        let clock = TestClock::new();
        let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
        let source = Refresher::new(app(&server, &clock), vault, clock.clone());
        let error = source.refreshed(&AccessToken::new("at-1".into())).await.unwrap_err();
        assert_eq!(
            (error.category, error.code.as_str()),
            (Category::Authentication, "reauthorize")
        );
        assert!(error.hint.unwrap().contains("oauth_authorize_url"));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_token_that_another_process_rotated_is_read_again_before_giving_up() {
    let server = Server::start(|seen, _| {
        assert!(seen.body.contains("refresh_token=rt-1"));
        json(400, fixture("oauth_errors.json")[1]["body"].clone())
    })
    .await;
    let clock = TestClock::new();
    let vault = Vault::with(tokens("at-1", "rt-1", clock.now()));
    *vault.replacement.lock().unwrap() = Some(tokens("at-9", "rt-9", clock.now()));
    let source = Refresher::new(app(&server, &clock), vault, clock.clone());
    let new = source.refreshed(&AccessToken::new("at-1".into())).await.unwrap();
    assert_eq!((new.secret().as_str(), server.seen().len()), ("at-9", 1));
}

#[tokio::test]
async fn wrong_app_keys_are_told_as_such() {
    let body = || json(401, fixture("oauth_errors.json")[4]["body"].clone());
    let server = Server::start(move |_, _| body()).await;
    let clock = TestClock::new();
    let error = app(&server, &clock).refresh(&tokens("a", "r", clock.now())).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.category), ("invalid_client", Category::Authentication));
}

#[tokio::test]
async fn a_session_never_refreshes() {
    let clock = TestClock::new();
    let source = SessionTokens::new(Some(tokens("at-1", "rt-1", clock.now())), clock.clone());
    assert_eq!(source.current().await.unwrap().secret(), "at-1");
    let error = source.refreshed(&AccessToken::new("at-1".into())).await.unwrap_err();
    assert_eq!((error.sqlstate(), error.code.as_str()), ("YS401", "token_expired"));
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(source.current().await.unwrap_err().sqlstate(), "YS401");
    let none = SessionTokens::new(None, clock.clone()).current().await.unwrap_err();
    assert_eq!(none.code, "reauthorize");
}

#[tokio::test]
async fn a_grant_is_given_back_as_json_with_the_apps_keys() {
    let server =
        Server::start(|_, n| Reply::Answer([200, 400, 500][n.min(2)], "", "".into())).await;
    let clock = TestClock::new();
    let (app, set) = (app(&server, &clock), tokens("at-1", "rt-1", clock.now()));
    app.revoke(&set).await.unwrap();
    app.revoke(&set).await.unwrap();
    app.revoke(&set).await.unwrap_err();
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.path.as_str(), seen.json()["token"].as_str()),
        ("/v2/oauth2/tokens/revoke", Some("rt-1"))
    );
    assert_eq!(seen.header("authorization"), Some("Basic QUJjbGllbnQ6czNjcmV0"));
}

#[test]
fn tokens_survive_the_credentials_and_show_in_no_debug_output() {
    let clock = TestClock::new();
    let mut set = tokens("at-secret", "rt-secret", clock.now());
    set.hard_expires_at = Some(clock.now() + SignedDuration::from_hours(24));
    let mut credentials = Map::from_iter([("client_id".to_owned(), Value::from("ABclient"))]);
    set.put(&mut credentials);
    assert_eq!(TokenSet::from_secret(&Secret::new(credentials.clone())), Some(set.clone()));
    assert_eq!(credentials["client_id"], "ABclient");
    assert_eq!(set.grant_ends_at(), clock.now() + SignedDuration::from_hours(24));
    set.hard_expires_at = None;
    set.put(&mut credentials);
    assert_eq!(TokenSet::from_secret(&Secret::new(credentials)), Some(set.clone()));
    assert!(!format!("{set:?}").contains("secret"), "{set:?}");
    assert_eq!(TokenSet::from_secret(&Secret::default()), None);
}
