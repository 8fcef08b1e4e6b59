//! The app that Intuit knows us as, and its calls to the authorisation server.
//!
//! Requests, client authentication and error bodies are the crate `oauth2`'s; what it doesn't know
//! are Intuit's own fields and the JSON form of the revocation.

use super::tokens::{Realm, TokenSet};
use super::{REAUTHORIZE, State, reauthorize};
use crate::clock::Clock;
use crate::error::{Category, Error, Result};
use crate::http::{
    AddressPolicy, Client, ClientConfig, HttpContext, Request, Response, RetryPolicy, Url, header,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AccessToken, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a connection needs: the books, and nothing of payments or of who the person is.
const SCOPE: &str = "com.intuit.quickbooks.accounting";

/// Asks for the end of the grant, which is left out else.
const HARD_EXPIRY_HEADER: &str = "x-include-refresh-token-hard-expires-in";

type Library = oauth2::Client<
    BasicErrorResponse,
    Granted,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The three addresses of the authorisation server: the same for sandbox and production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    pub authorize: String,
    pub token: String,
    pub revoke: String,
}

impl Endpoints {
    /// Intuit's.
    pub fn intuit() -> Endpoints {
        Endpoints {
            authorize: "https://appcenter.intuit.com/connect/oauth2".into(),
            token: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer".into(),
            revoke: "https://developer.api.intuit.com/v2/oauth2/tokens/revoke".into(),
        }
    }

    /// The same paths on another host: the setting `oauth_url`, for a simulator.
    pub fn at(base: &Url) -> Endpoints {
        let base = base.as_str().trim_end_matches('/');
        Endpoints {
            authorize: format!("{base}/connect/oauth2"),
            token: format!("{base}/oauth2/v1/tokens/bearer"),
            revoke: format!("{base}/v2/oauth2/tokens/revoke"),
        }
    }
}

/// An app at Intuit: its keys and where it asks.
#[derive(Clone)]
pub struct App {
    client_id: ClientId,
    client_secret: ClientSecret,
    endpoints: Endpoints,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// What the browser brought back.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Spent by the first exchange; good for minutes.
    pub code: AuthorizationCode,
    /// Signed by us: [`State::open`].
    pub state: String,
    pub realm: Realm,
}

impl Callback {
    /// Reads the address that the browser was sent back to. Errors: `access_denied`
    /// (authentication) where the person said no; 22023 where it isn't such an address.
    pub fn parse(address: &str) -> Result<Callback> {
        let wrong = |what: &str| {
            Error::argument(
                format!("this is not the address of an answer of QuickBooks: {what}"),
                "Copy the whole address from the browser: https://...?code=...&state=...&realmId=...",
            )
        };
        let url = Url::parse(address.trim()).map_err(|_| wrong("it is no address"))?;
        let find = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
        };
        if let Some(error) = find("error") {
            return Err(denied(&error));
        }
        let realm = find("realmId").ok_or_else(|| wrong("it has no realmId"))?;
        Ok(Callback {
            code: AuthorizationCode::new(find("code").ok_or_else(|| wrong("it has no code"))?),
            state: find("state").ok_or_else(|| wrong("it has no state"))?,
            realm: Realm::parse(&realm)?,
        })
    }

    /// The `state` of an address whose person may have said no, to spend it either way.
    pub fn state_of(address: &str) -> Option<String> {
        let url = Url::parse(address.trim()).ok()?;
        url.query_pairs().find(|(key, _)| key == "state").map(|(_, value)| value.into_owned())
    }
}

fn denied(error: &str) -> Error {
    let code: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').collect();
    let error = match code.as_str() {
        "access_denied" => {
            Error::new(Category::Authentication, "access_denied", "access was not granted")
        }
        _ => Error::new(
            Category::Authentication,
            "oauth_refused",
            format!("QuickBooks refused the authorisation: {code}"),
        ),
    };
    error.hint("Begin again: easysync.oauth_authorize_url. Whoever grants access must be an administrator of the company.")
}

/// Intuit's token answer. Its own fields stand beside the standard ones: the crate's way to read
/// such (`flatten`) breaks on numbers once serde_json keeps their digits.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Granted {
    access_token: AccessToken,
    refresh_token: RefreshToken,
    expires_in: u64,
    x_refresh_token_expires_in: Option<u64>,
    x_refresh_token_hard_expires_in: Option<u64>,
}

impl TokenResponse for Granted {
    type TokenType = BasicTokenType;
    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }
    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }
    fn expires_in(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.expires_in))
    }
    fn refresh_token(&self) -> Option<&RefreshToken> {
        Some(&self.refresh_token)
    }
    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// A hundred days: what the docs say where the answer doesn't.
const REFRESH_LIFETIME: u64 = 8_640_000;

impl Granted {
    fn token_set(self, realm: Realm, asked_at: Timestamp) -> Result<TokenSet> {
        if self.access_token.secret().is_empty() || self.refresh_token.secret().is_empty() {
            return Err(no_token());
        }
        let at = |seconds: u64| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            asked_at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
        };
        Ok(TokenSet {
            access: self.access_token,
            refresh: self.refresh_token,
            expires_at: at(self.expires_in),
            refresh_expires_at: at(self.x_refresh_token_expires_in.unwrap_or(REFRESH_LIFETIME)),
            hard_expires_at: self.x_refresh_token_hard_expires_in.map(at),
            realm,
        })
    }
}

impl App {
    /// An app with these keys. Makes no call.
    pub fn new(
        client_id: &str,
        client_secret: &str,
        endpoints: Endpoints,
        http: &Arc<HttpContext>,
    ) -> App {
        let config = ClientConfig {
            retry: RetryPolicy { attempts: 3, ..RetryPolicy::default() },
            timeout: Duration::from_secs(30),
            max_response: 1 << 20,
            ..ClientConfig::default()
        };
        App {
            client_id: ClientId::new(client_id.to_owned()),
            client_secret: ClientSecret::new(client_secret.to_owned()),
            client: http.client(&format!("oauth {}", endpoints.token), config),
            endpoints,
            clock: Arc::clone(&http.config.clock),
        }
    }

    /// The page on which an administrator of a company grants access.
    pub fn authorize_url(&self, state: &State, key: &[u8; 32]) -> Result<String> {
        let sealed = state.seal(key)?.0;
        let library = self.library(Some(&state.redirect_uri))?;
        let asked = library
            .authorize_url(|| CsrfToken::new(sealed))
            .add_scope(Scope::new(SCOPE.to_owned()));
        Ok(asked.url().0.to_string())
    }

    /// Takes the tokens for a code. Errors: `oauth_code` (authentication) for a code that is spent
    /// or old, `invalid_client`, and those of the network; after them the code may be spent.
    pub async fn exchange(&self, callback: &Callback, redirect_uri: &str) -> Result<TokenSet> {
        let asked_at = self.clock.now();
        let library = self.library(Some(redirect_uri))?;
        let wire = Wire { client: self.client.clone(), refresh: false };
        let asked = library.exchange_code(callback.code.clone()).request_async(&wire).await;
        let granted = asked.map_err(|error| {
            let mut error = token_error(error);
            if error.code == "reauthorize" {
                error.code = "oauth_code".into();
                error.message = "QuickBooks does not take this code: it is spent or too old".into();
                error.hint = Some("Begin again: easysync.oauth_authorize_url.".into());
            }
            error
        })?;
        granted.token_set(callback.realm.clone(), asked_at)
    }

    /// Takes new tokens for old ones. The old refresh token may be dead from here on, whether the
    /// answer arrives or not: whoever calls this stores what it gives before using it. Errors:
    /// `reauthorize` (authentication), `invalid_client`, and those of the network.
    pub async fn refresh(&self, tokens: &TokenSet) -> Result<TokenSet> {
        let asked_at = self.clock.now();
        let library = self.library(None)?;
        let wire = Wire { client: self.client.clone(), refresh: true };
        let asked = library.exchange_refresh_token(&tokens.refresh).request_async(&wire).await;
        let granted = asked.map_err(token_error)?;
        let mut new = granted.token_set(tokens.realm.clone(), asked_at)?;
        // Where it is left out once, it is still what it was.
        new.hard_expires_at = new.hard_expires_at.or(tokens.hard_expires_at);
        Ok(new)
    }

    /// Gives the grant back. A grant that is gone already counts as given back.
    pub async fn revoke(&self, tokens: &TokenSet) -> Result<()> {
        let url = address(&self.endpoints.revoke)?;
        let body = serde_json::json!({ "token": tokens.refresh.secret() }).to_string();
        let request = Request::post_json(url, body)
            .header(header::ACCEPT, header::HeaderValue::from_static("application/json"))
            .header(header::AUTHORIZATION, self.basic()?)
            .idempotent(true);
        let response = self.client.send(&request).await?;
        match response.status.as_u16() {
            200..=299 | 400 => Ok(()),
            status => Err(Error::new(
                Category::Authentication,
                format!("http_{status}"),
                format!("\"{}\" did not take the grant back (HTTP {status})", response.host),
            )
            .http_status(status)
            .hint("Remove the app in QuickBooks under Apps > Connected.")),
        }
    }

    fn library(&self, redirect_uri: Option<&str>) -> Result<Library> {
        let authorize = AuthUrl::new(self.endpoints.authorize.clone()).map_err(bad_endpoint)?;
        let token = TokenUrl::new(self.endpoints.token.clone()).map_err(bad_endpoint)?;
        let library = oauth2::Client::new(self.client_id.clone())
            .set_client_secret(self.client_secret.clone())
            .set_auth_uri(authorize)
            .set_token_uri(token);
        let Some(redirect_uri) = redirect_uri else { return Ok(library) };
        let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| {
            Error::argument(
                "redirect_uri is no address",
                "Give one of the redirect URIs of the app at developer.intuit.com, to the letter.",
            )
        })?;
        Ok(library.set_redirect_uri(redirect))
    }

    fn basic(&self) -> Result<header::HeaderValue> {
        let text = format!("{}:{}", self.client_id.as_str(), self.client_secret.secret());
        let mut value = header::HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text)))
            .map_err(|_| Error::internal("the credentials make no header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The library's requests through our own layer. A refresh may be sent again after a lost answer:
/// either the old token still works, or it is dead and nothing is lost by asking.
struct Wire {
    client: Client,
    refresh: bool,
}

impl<'c> oauth2::AsyncHttpClient<'c> for Wire {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let mut call = Request::new(parts.method, address(&parts.uri.to_string())?);
            call.headers = parts.headers;
            call.body = Some(body.into());
            call.idempotent = self.refresh;
            call.retry_500 = self.refresh;
            if self.refresh {
                let name = header::HeaderName::from_static(HARD_EXPIRY_HEADER);
                call.headers.insert(name, header::HeaderValue::from_static("true"));
            }
            for value in call.headers.values_mut() {
                value.set_sensitive(true);
            }
            Ok(answer(self.client.send(&call).await?))
        })
    }
}

fn answer(response: Response) -> oauth2::HttpResponse {
    let mut out = oauth2::HttpResponse::new(response.body.to_vec());
    *out.status_mut() = response.status;
    *out.headers_mut() = response.headers;
    out
}

fn address(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|_| Error::internal("an address of the authorisation is none"))
}

fn bad_endpoint(_: oauth2::url::ParseError) -> Error {
    Error::argument("\"oauth_url\" is no address", "Write it as https://host.")
}

/// Neither the body nor what the library says of it is shown: both can hold tokens.
fn token_error(error: RequestTokenError<Error, BasicErrorResponse>) -> Error {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(told) => match told.error() {
            BasicErrorResponseType::InvalidGrant => {
                reauthorize("QuickBooks has ended the grant of this connection")
            }
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                invalid_client()
            }
            other => {
                let code: String =
                    other.as_ref().chars().filter(char::is_ascii_graphic).take(40).collect();
                Error::new(
                    Category::Authentication,
                    "oauth_refused",
                    format!("QuickBooks refused to give tokens: {code}"),
                )
                .hint(REAUTHORIZE)
            }
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => no_token(),
    }
}

fn invalid_client() -> Error {
    Error::new(
        Category::Authentication,
        "invalid_client",
        "QuickBooks does not know these app keys (client_id, client_secret)",
    )
    .hint(
        "Take them from developer.intuit.com > your app > Keys and credentials and call \
         easysync.set_credentials. Sandbox and production have different ones.",
    )
}

/// An answer without an access token is no success, whatever its status says: what is stored stays.
fn no_token() -> Error {
    Error::new(Category::Network, "no_token", "the authorisation server answered without a token")
        .hint("It is tried again by itself.")
}

/// Whether `oauth_url` may be called: only a host that the server's owner listed.
pub fn check_override(url: &Url, policy: &AddressPolicy, key: &str) -> Result<()> {
    let target = policy.check(url, false)?;
    if target.listed {
        return Ok(());
    }
    Err(Error::new(
        Category::Validation,
        "invalid_settings",
        format!("\"{key}\" names \"{}\", which is not listed", target.host),
    )
    .hint("It is meant for simulators: add the host to easysync.allowed_private_hosts, or leave the setting out."))
}
