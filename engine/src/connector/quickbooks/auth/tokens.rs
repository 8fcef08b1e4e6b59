//! The tokens of one company, as they are kept in the sealed credentials.

use crate::error::{Error, Result};
use crate::store::Secret;
use jiff::{SignedDuration, Timestamp};
use oauth2::{AccessToken, RefreshToken};
use serde_json::{Map, Value};
use std::fmt;

/// An access token is renewed when it has this much left: clocks differ, and a batch takes a while.
const MARGIN: SignedDuration = SignedDuration::from_mins(3);

/// Id of a company: digits, too many for a number in JavaScript.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Realm(String);

impl Realm {
    /// Only digits, 4 to 32 of them: it becomes a part of every URL.
    pub fn parse(text: &str) -> Result<Realm> {
        let text = text.trim();
        if (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Realm(text.to_owned()));
        }
        Err(Error::argument(
            "the company id (realmId) is not a row of digits",
            "Give the whole address that the browser was sent back to.",
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that a grant gave. Its `Debug` shows no token.
#[derive(Debug, Clone)]
pub struct TokenSet {
    pub access: AccessToken,
    /// Its value changes about every day; the one before is dead then.
    pub refresh: RefreshToken,
    /// The access token's end: an hour.
    pub expires_at: Timestamp,
    /// The refresh token's end if it isn't used before: about a hundred days.
    pub refresh_expires_at: Timestamp,
    /// The grant's end whatever is done: five years (Intuit's policy of November 2025). None: the
    /// server didn't say.
    pub hard_expires_at: Option<Timestamp>,
    pub realm: Realm,
}

impl PartialEq for TokenSet {
    /// Tokens are compared by their secrets, as the library's own types refuse to be.
    fn eq(&self, other: &TokenSet) -> bool {
        self.access.secret() == other.access.secret()
            && self.refresh.secret() == other.refresh.secret()
            && self.expires_at == other.expires_at
            && self.refresh_expires_at == other.refresh_expires_at
            && self.hard_expires_at == other.hard_expires_at
            && self.realm == other.realm
    }
}

const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
const EXPIRES: &str = "access_expires_at";
const REFRESH_EXPIRES: &str = "refresh_expires_at";
const HARD_EXPIRES: &str = "hard_expires_at";
const REALM: &str = "realm";

/// The credential fields that OAuth fills; nobody types them.
pub const TOKEN_FIELDS: [&str; 6] =
    [ACCESS, REFRESH, EXPIRES, REFRESH_EXPIRES, HARD_EXPIRES, REALM];

impl TokenSet {
    /// Good for a call that begins now.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires_at.duration_since(now) > MARGIN
    }

    /// When a person must grant access again at the latest, if the connection isn't used before:
    /// `token_expires_at` of the view `connections`.
    pub fn grant_ends_at(&self) -> Timestamp {
        self.hard_expires_at.map_or(self.refresh_expires_at, |end| end.min(self.refresh_expires_at))
    }

    /// The tokens among a connection's credentials. None: nobody has granted access yet, or what is
    /// there is not whole.
    pub fn from_secret(secret: &Secret) -> Option<TokenSet> {
        let time = |field: &str| secret.get(field)?.parse::<Timestamp>().ok();
        Some(TokenSet {
            access: AccessToken::new(secret.get(ACCESS)?.to_owned()),
            refresh: RefreshToken::new(secret.get(REFRESH)?.to_owned()),
            expires_at: time(EXPIRES)?,
            refresh_expires_at: time(REFRESH_EXPIRES)?,
            hard_expires_at: time(HARD_EXPIRES),
            realm: Realm::parse(secret.get(REALM)?).ok()?,
        })
    }

    /// Puts the tokens among the credentials, for sealing; other fields stay.
    pub fn put(&self, credentials: &mut Map<String, Value>) {
        let mut put = |field: &str, value: String| {
            credentials.insert(field.to_owned(), Value::String(value));
        };
        put(ACCESS, self.access.secret().clone());
        put(REFRESH, self.refresh.secret().clone());
        put(EXPIRES, self.expires_at.to_string());
        put(REFRESH_EXPIRES, self.refresh_expires_at.to_string());
        put(REALM, self.realm.to_string());
        match self.hard_expires_at {
            Some(end) => put(HARD_EXPIRES, end.to_string()),
            None => drop(credentials.shift_remove(HARD_EXPIRES)),
        }
    }
}
