//! Which addresses may be called: public ones over https, and those that the server's owner listed.
//! Judged twice: the URL before a call ([`AddressPolicy::check`]), and every address that its name
//! resolves to (the resolver of this layer), so that no name can lead to a private network.

use crate::error::{Category, Error, Result};
use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// Hosts that may be private, loopback or plain http: `easysync.allowed_private_hosts`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allowed: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    host: String,
    /// None: every port of the host.
    port: Option<u16>,
}

/// A URL that may be called, and whether its host was listed (its name may then resolve to a
/// private address).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `host` or `host:port`, for messages.
    pub host: String,
    pub listed: bool,
}

impl AddressPolicy {
    /// Reads `host[:port]` entries, separated by commas or white space. IPv6 addresses go in
    /// brackets: `[::1]:8443`. An entry that is no host is an error that names it.
    pub fn parse(list: &str) -> Result<Self> {
        let entries = list.split([',', ' ', '\t', '\n', '\r']).filter(|entry| !entry.is_empty());
        Ok(AddressPolicy { allowed: entries.map(Listed::parse).collect::<Result<_>>()? })
    }

    /// Whether `host` (as a URL writes it) is listed, with all its ports or with this one.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let host = normal(host);
        self.allowed
            .iter()
            .any(|entry| entry.host == host && entry.port.is_none_or(|listed| listed == port))
    }

    /// Refuses a URL that must not be called: another scheme than https (http too where `allow_http`
    /// or the list says so), a user name in it, a private address written as such in any form
    /// (`127.1`, `0x7f.1`, `2130706433` are all read as 127.0.0.1).
    pub fn check(&self, url: &Url, allow_http: bool) -> Result<Target> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(refused("invalid_url", "the URL names no host".to_owned())
                .hint("Write it as https://shop.example."));
        };
        let listed = self.allows(host, port);
        let shown = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        match url.scheme() {
            "https" => {}
            "http" if allow_http || listed => {}
            "http" => {
                return Err(refused("http_refused", format!("\"{shown}\" is not called by plain http"))
                    .hint("Use https. A WooCommerce shop without it needs the setting \"allow_http\": true."));
            }
            other => {
                return Err(refused(
                    "invalid_url",
                    format!("\"{other}\" is not a scheme to call \"{shown}\" by"),
                )
                .hint("Use https."));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "userinfo_refused",
                format!("the URL of \"{shown}\" holds a user name or password"),
            )
            .hint("Take them out of the URL: keys belong into the credentials."));
        }
        if !listed
            && let Some((address, kind)) = literal(url).and_then(|ip| Some((ip, refusal(ip)?)))
        {
            return Err(private(&shown, address, kind));
        }
        Ok(Target { host: shown, listed })
    }
}

impl Listed {
    fn parse(entry: &str) -> Result<Listed> {
        let wrong = || {
            Error::argument(
                format!("invalid host \"{entry}\" in easysync.allowed_private_hosts"),
                "Write host or host:port, separated by commas: localhost:8443, [::1]:8443.",
            )
        };
        // As authority of a URL, so that a host is read here exactly as in a call.
        if entry.contains(['/', '@', '?', '#', '\\']) {
            return Err(wrong());
        }
        let url = Url::parse(&format!("http://{entry}")).map_err(|_| wrong())?;
        let host = normal(url.host_str().ok_or_else(wrong)?);
        // A URL drops the port that is its scheme's default.
        let port = match url.port() {
            None if entry.ends_with(":80") => Some(80),
            port => port,
        };
        Ok(Listed { host, port })
    }
}

/// Lower case, without the dot that may end a full name.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.parse().ok()
}

fn refused(code: &str, message: String) -> Error {
    Error::new(Category::Validation, code, message)
}

/// The refusal of a private address, found in a URL or behind a name.
pub(super) fn private(host: &str, address: IpAddr, kind: &str) -> Error {
    refused("private_address", format!("\"{host}\" is not called: {address} is {kind}")).hint(
        "Where it is meant to be called, a superuser lists it in easysync.allowed_private_hosts.",
    )
}

/// What the address is when it may not be called; None: a public address.
///
/// Sources: the special-purpose registries of IANA (RFC 6890 and its updates), the addresses of the
/// clouds' metadata services.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some((_, kind)) = V6.iter().find(|(net, _)| net.contains(&address)) {
        return Some(*kind);
    }
    // Networks without IPv4 reach it through 64:ff9b::/96 (RFC 6052): judged by what is behind.
    let s = address.segments();
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [a, b] = s[6].to_be_bytes();
        let [c, d] = s[7].to_be_bytes();
        return refusal_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only 2000::/3 is given out as global unicast.
    (s[0] & 0xe000 != 0x2000).then_some("no global address")
}

const V4_NETS: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "an address of a carrier's private network"),
    ("127.0.0.0/8", "a loopback address"),
    ("168.63.129.16/32", "a metadata address"),
    ("169.254.0.0/16", "a link-local or metadata address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "a reserved address"),
    ("192.0.2.0/24", "a documentation address"),
    ("192.88.99.0/24", "a reserved address"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "an address for benchmarks"),
    ("198.51.100.0/24", "a documentation address"),
    ("203.0.113.0/24", "a documentation address"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
];

const V6_NETS: &[(&str, &str)] = &[
    ("::/128", "the unspecified address"),
    ("::1/128", "a loopback address"),
    ("::ffff:0:0/96", "an IPv4-mapped address"),
    ("::ffff:0:0:0/96", "an IPv4-translated address"),
    ("64:ff9b:1::/48", "a private translated address"),
    ("100::/64", "a discarded address"),
    ("2001::/23", "a reserved address"),
    ("2001:db8::/32", "a documentation address"),
    ("2002::/16", "an IPv4-translated address"),
    ("3fff::/20", "a documentation address"),
    ("fc00::/7", "a private address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a private address"),
    ("ff00::/8", "a multicast address"),
];

static V4: LazyLock<Vec<(Ipv4Net, &str)>> = LazyLock::new(|| nets(V4_NETS));
static V6: LazyLock<Vec<(Ipv6Net, &str)>> = LazyLock::new(|| nets(V6_NETS));

/// Every entry parses: a test holds the tables to it.
fn nets<N: std::str::FromStr>(table: &[(&str, &'static str)]) -> Vec<(N, &'static str)> {
    table.iter().filter_map(|(net, kind)| Some((net.parse().ok()?, *kind))).collect()
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
