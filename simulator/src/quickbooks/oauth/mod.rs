//! Intuit's OAuth 2.0 server: authorize page, token and revoke endpoints, discovery, user info.

mod authorize;
mod grant;
mod tokens;

pub use authorize::{authorize, decide};
pub use grant::{Access, App, Grants, Refused};
pub use tokens::{revoke, token};

use crate::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The app of the `Authorization: Basic` header, if id and secret are right.
fn basic<'a>(apps: &'a [App], request: &Request) -> Option<&'a App> {
    let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    apps.iter().find(|app| app.client_id == id && app.client_secret == secret)
}

/// The discovery document, with all endpoints on this server.
pub fn discovery(base: &str) -> Value {
    json!({
        "issuer": format!("{base}/op/v1"),
        "authorization_endpoint": format!("{base}/connect/oauth2"),
        "token_endpoint": format!("{base}/oauth2/v1/tokens/bearer"),
        "userinfo_endpoint": format!("{base}/v1/openid_connect/userinfo"),
        "revocation_endpoint": format!("{base}/v2/oauth2/tokens/revoke"),
        "jwks_uri": format!("{base}/op/v1/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile", "address", "phone"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
    })
}
