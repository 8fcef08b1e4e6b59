//! Names to addresses, without those that may not be called.

use super::address::refusal;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};

/// Resolves through the system (getaddrinfo) and keeps only public addresses. The connection is then
/// made to exactly these, so a name that answers differently the second time gains nothing.
pub(super) struct PublicOnly;

/// Every address of the name is refused. Found again in the error's chain by [`super::failure`].
#[derive(Debug, thiserror::Error)]
#[error("{address} is {kind}")]
pub(super) struct Refused {
    pub address: IpAddr,
    pub kind: &'static str,
}

/// The name can't be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name can not be resolved")]
pub(super) struct Unresolved;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = lookup(name.as_str()).await?;
            let public = public(&found)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// For listed hosts: every address, with the same errors.
pub(super) struct Any;

impl Resolve for Any {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = lookup(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

async fn lookup(name: &str) -> Result<Vec<SocketAddr>, Unresolved> {
    // Port 0: the caller puts the URL's in its place.
    let found: Vec<_> = tokio::net::lookup_host((name, 0)).await.map_err(|_| Unresolved)?.collect();
    if found.is_empty() { Err(Unresolved) } else { Ok(found) }
}

fn public(found: &[SocketAddr]) -> Result<Vec<SocketAddr>, Refused> {
    let public: Vec<_> = found.iter().filter(|a| refusal(a.ip()).is_none()).copied().collect();
    match found.iter().find_map(|a| Some((a.ip(), refusal(a.ip())?))) {
        Some((address, kind)) if public.is_empty() => Err(Refused { address, kind }),
        _ => Ok(public),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 0)
    }

    #[test]
    fn a_name_with_public_and_private_addresses_keeps_the_public_ones() {
        let kept = public(&[at("10.0.0.7"), at("93.184.216.34"), at("::1")]).unwrap();
        assert_eq!(kept, [at("93.184.216.34")]);
    }

    #[test]
    fn a_name_with_private_addresses_only_is_refused_by_its_first_one() {
        let refused = public(&[at("192.168.1.2"), at("fd00::1")]).unwrap_err();
        assert_eq!(refused.address.to_string(), "192.168.1.2");
        assert_eq!(refused.kind, "a private address");
    }

    #[tokio::test]
    async fn localhost_is_refused_after_resolution() {
        let found = lookup("localhost").await.unwrap();
        assert!(public(&found).is_err(), "{found:?}");
    }
}
