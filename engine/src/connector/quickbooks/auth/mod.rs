//! OAuth 2.0 with Intuit (quickbooks.md, section 1): [`app`] speaks to the authorisation server,
//! [`state`] guards the way through the browser, [`tokens`] is what is kept, [`source`] hands out
//! access tokens and renews them, one at a time and never without storing the new one first.

pub mod app;
pub mod source;
pub mod state;
pub mod tokens;

pub use app::{App, Callback, Endpoints};
pub use source::{Refresher, SessionTokens, TokenSource, TokenVault};
pub use state::{Challenge, State};
pub use tokens::{Realm, TokenSet};

use crate::error::{Category, Error};
pub use oauth2::{AccessToken, RefreshToken};

/// What to do where the grant is gone.
pub const REAUTHORIZE: &str = "Grant access again: open the address of \
    easysync.oauth_authorize_url and give easysync.oauth_complete where you land.";

/// The grant is gone: nothing but a person can bring it back.
pub fn reauthorize(message: impl Into<String>) -> Error {
    Error::new(Category::Authentication, "reauthorize", message).hint(REAUTHORIZE)
}
