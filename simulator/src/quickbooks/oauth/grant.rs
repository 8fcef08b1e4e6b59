//! What a person granted an app over a company, and the tokens that came of it.

use crate::quickbooks::rules::Rules;
use crate::quickbooks::webhooks::Subscription;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// A registered app.
#[derive(Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    /// Where the authorize page may send people back to; compared as text.
    pub redirect_uris: Vec<String>,
    /// Signs the app's webhooks.
    pub verifier_token: String,
    /// Where its webhooks go.
    pub webhooks: Option<Subscription>,
}

/// An authorization code that waits to be exchanged.
#[derive(Clone)]
pub struct Code {
    pub client_id: String,
    pub realm: String,
    pub redirect_uri: String,
    pub expires: Timestamp,
}

/// A family of tokens: everything that came from one authorization.
#[derive(Clone)]
pub struct Grant {
    pub client_id: String,
    pub realm: String,
    hard_end: Timestamp,
    refresh: String,
    refresh_issued: Timestamp,
    /// The value before, and when it was superseded.
    previous: Option<(String, Timestamp)>,
    revoked: bool,
}

/// What the token endpoint hands out. Times in seconds from now.
pub struct Issued {
    pub access_token: String,
    pub expires_in: i64,
    pub refresh_token: String,
    pub refresh_expires_in: i64,
    pub hard_expires_in: i64,
}

/// What an access token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub client_id: String,
    pub realm: String,
}

/// Why an access token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Unknown,
    Expired,
    Revoked,
}

/// All grants, with their tokens.
#[derive(Clone)]
pub struct Grants {
    codes: HashMap<String, Code>,
    grants: Vec<Grant>,
    /// Access token: its grant and its end.
    access: HashMap<String, (usize, Timestamp)>,
    random: ChaCha8Rng,
}

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);

fn later(from: Timestamp, seconds: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

impl Grants {
    /// No grants; tokens will be drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Grants {
            codes: HashMap::new(),
            grants: vec![],
            access: HashMap::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let letter = |n: usize| char::from(LETTERS[n % LETTERS.len()]);
        (0..length).map(|_| letter(self.random.random_range(0..LETTERS.len()))).collect()
    }

    /// A code for the redirect, good for ten minutes and one exchange.
    pub fn issue_code(
        &mut self,
        client_id: &str,
        realm: &str,
        redirect_uri: &str,
        now: Timestamp,
    ) -> String {
        let code = format!("AB{}{}", now.as_second(), self.text(30));
        let kept = Code {
            client_id: client_id.to_owned(),
            realm: realm.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            expires: now.checked_add(CODE_LIFE).unwrap_or(now),
        };
        self.codes.insert(code.clone(), kept);
        code
    }

    /// Takes a code: once, by its app, with its redirect address, in time.
    pub fn take_code(
        &mut self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Option<Code> {
        let taken = self.codes.remove(code)?;
        let right = taken.client_id == client_id
            && taken.redirect_uri == redirect_uri
            && now <= taken.expires;
        right.then_some(taken)
    }

    /// A new family.
    pub fn grant(&mut self, client_id: &str, realm: &str, rules: &Rules, now: Timestamp) -> Issued {
        let refresh = self.refresh_value(now, rules);
        self.grants.push(Grant {
            client_id: client_id.to_owned(),
            realm: realm.to_owned(),
            hard_end: later(now, rules.refresh_hard_seconds),
            refresh,
            refresh_issued: now,
            previous: None,
            revoked: false,
        });
        self.issue(self.grants.len() - 1, rules, now)
    }

    fn refresh_value(&mut self, now: Timestamp, rules: &Rules) -> String {
        let end = later(now, rules.refresh_idle_seconds).as_second();
        format!("RT1-39-H0-{end}{}", self.text(20).to_lowercase())
    }

    fn issue(&mut self, at: usize, rules: &Rules, now: Timestamp) -> Issued {
        // Real ones are encrypted and longer than a kilobyte: columns must take them.
        let token = format!("eyJhbGciOiJkaXIi.{}.{}", self.text(900), self.text(180));
        self.access.insert(token.clone(), (at, later(now, rules.access_token_seconds)));
        let grant = &self.grants[at];
        let end = later(grant.refresh_issued, rules.refresh_idle_seconds).min(grant.hard_end);
        Issued {
            access_token: token,
            expires_in: rules.access_token_seconds,
            refresh_token: grant.refresh.clone(),
            refresh_expires_in: end.as_second() - now.as_second(),
            hard_expires_in: grant.hard_end.as_second() - now.as_second(),
        }
    }

    /// The company of a refresh token, current or superseded.
    pub fn realm_of(&self, token: &str) -> Option<&str> {
        let known = |g: &&Grant| {
            g.refresh == token || g.previous.as_ref().is_some_and(|(value, _)| value == token)
        };
        self.grants.iter().find(known).map(|grant| grant.realm.as_str())
    }

    /// Refreshes; `None` for `invalid_grant`. The value stays for a day, then a new one comes and
    /// the old one dies, unless the rules leave it a grace.
    pub fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        rules: &Rules,
        now: Timestamp,
    ) -> Option<Issued> {
        let graceful = |grant: &Grant| {
            grant.previous.as_ref().is_some_and(|(value, since)| {
                value == token && now < later(*since, rules.old_refresh_grace_seconds)
            })
        };
        let at = self.grants.iter().position(|g| g.refresh == token || graceful(g))?;
        let grant = &self.grants[at];
        let idle_end = later(grant.refresh_issued, rules.refresh_idle_seconds);
        if grant.revoked || grant.client_id != client_id || now >= idle_end.min(grant.hard_end) {
            return None;
        }
        let current = grant.refresh == token;
        if current && now >= later(grant.refresh_issued, rules.refresh_value_seconds) {
            let value = self.refresh_value(now, rules);
            let grant = &mut self.grants[at];
            let old = std::mem::replace(&mut grant.refresh, value);
            grant.previous = Some((old, now));
            grant.refresh_issued = now;
        }
        Some(self.issue(at, rules, now))
    }

    /// Ends the family that a token belongs to; false for an unknown token.
    pub fn revoke(&mut self, token: &str, client_id: &str) -> bool {
        let by_access = self.access.get(token).map(|(at, _)| *at);
        let at = by_access.or_else(|| self.grants.iter().position(|g| g.refresh == token));
        match at.map(|at| &mut self.grants[at]) {
            Some(grant) if grant.client_id == client_id => {
                grant.revoked = true;
                true
            }
            _ => false,
        }
    }

    /// Ends all families of a company, as its owner does in the app list.
    pub fn disconnect(&mut self, realm: &str) -> usize {
        let of_realm = self.grants.iter_mut().filter(|g| g.realm == realm && !g.revoked);
        of_realm.map(|grant| grant.revoked = true).count()
    }

    /// Whether an app has a living grant over a company.
    pub fn connected(&self, client_id: &str, realm: &str) -> bool {
        let living = |g: &Grant| g.client_id == client_id && g.realm == realm && !g.revoked;
        self.grants.iter().any(living)
    }

    /// Ends all access tokens of a company at once; refresh tokens go on.
    pub fn expire_access(&mut self, realm: &str, now: Timestamp) {
        for (at, end) in self.access.values_mut() {
            if self.grants[*at].realm == realm {
                *end = now;
            }
        }
    }

    /// What an access token opens.
    pub fn open(&self, token: &str, now: Timestamp) -> Result<Access, Refused> {
        let (at, end) = self.access.get(token).ok_or(Refused::Unknown)?;
        let grant = &self.grants[*at];
        match (grant.revoked, now < *end) {
            (true, _) => Err(Refused::Revoked),
            (_, false) => Err(Refused::Expired),
            _ => Ok(Access { client_id: grant.client_id.clone(), realm: grant.realm.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_478_400 + seconds).unwrap()
    }

    #[test]
    fn a_refresh_token_stays_for_a_day_and_then_the_old_one_dies() {
        let (mut grants, rules) = (Grants::new(1), Rules::default());
        let first = grants.grant("app", "1", &rules, at(0)).refresh_token;
        let same = grants.refresh(&first, "app", &rules, at(DAY - 1)).unwrap().refresh_token;
        assert_eq!(same, first);
        let second = grants.refresh(&first, "app", &rules, at(DAY)).unwrap().refresh_token;
        assert_ne!(second, first);
        assert!(grants.refresh(&first, "app", &rules, at(DAY + 1)).is_none());
        let grace = Rules { old_refresh_grace_seconds: DAY, ..rules };
        assert!(grants.refresh(&first, "app", &grace, at(DAY + 2)).is_some());
    }

    #[test]
    fn idle_and_old_refresh_tokens_end() {
        let (mut grants, rules) = (Grants::new(1), Rules::default());
        let token = grants.grant("app", "1", &rules, at(0)).refresh_token;
        assert!(grants.refresh(&token, "app", &rules, at(101 * DAY)).is_none(), "idle");
        let mut token = grants.grant("app", "2", &rules, at(0)).refresh_token;
        let mut day = 0;
        while day < 1826 {
            let issued = grants.refresh(&token, "app", &rules, at(day * DAY)).unwrap();
            assert_eq!(issued.hard_expires_in, (1826 - day) * DAY);
            token = issued.refresh_token;
            day += 83;
        }
        assert!(grants.refresh(&token, "app", &rules, at(1826 * DAY)).is_none(), "five years");
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let mut grants = Grants::new(1);
        let code = grants.issue_code("app", "1", "https://a/cb", at(0));
        assert!(grants.take_code(&code, "app", "https://a/cb", at(600)).is_some());
        assert!(grants.take_code(&code, "app", "https://a/cb", at(600)).is_none());
        let late = grants.issue_code("app", "1", "https://a/cb", at(0));
        assert!(grants.take_code(&late, "app", "https://a/cb", at(601)).is_none());
        let elsewhere = grants.issue_code("app", "1", "https://a/cb", at(0));
        assert!(grants.take_code(&elsewhere, "app", "https://b/cb", at(1)).is_none());
    }

    #[test]
    fn revoking_either_token_ends_the_whole_family() {
        let (mut grants, rules) = (Grants::new(1), Rules::default());
        let issued = grants.grant("app", "1", &rules, at(0));
        assert!(!grants.revoke(&issued.access_token, "another app"));
        assert!(grants.revoke(&issued.access_token, "app"));
        assert!(grants.refresh(&issued.refresh_token, "app", &rules, at(1)).is_none());
        assert_eq!(grants.open(&issued.access_token, at(1)), Err(Refused::Revoked));
    }
}
