//! Where a webhook may lead: to the public internet, over https, unless a setting allows more.
//!
//! Whoever registers an address must not reach through us what only we can reach. Names are looked up
//! when a connection is made and only the addresses that were checked are connected to, so that a name
//! that leads elsewhere a moment later (DNS rebinding) gains nothing. An address written as such asks no
//! resolver and is looked at in the URL.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What is not the public internet (IANA's special-purpose address registry, RFC 6890).
const NOT_PUBLIC_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Shared by customers of a carrier.
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Link-local; metadata of cloud machines is here.
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast.
    v4([224, 0, 0, 0], 4),
    // Reserved, and broadcast.
    v4([240, 0, 0, 0], 4),
];

/// All that is routed. Loopback, link-local, unique local, multicast, mapped and translated IPv4 lie
/// outside.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);
/// And what of it leads elsewhere: protocol assignments with Teredo, documentation, 6to4, and
/// documentation again.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),
    v6(0x2001, 0x0db8, 32),
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// Whether an address is one of the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// Why nothing is sent there, in words that name no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("must be an https URL")]
    NotHttps,
    #[error("must be an http or https URL")]
    NotHttp,
    #[error("must have no user name, password or fragment")]
    NotPlain,
    #[error("must not lead to a private, local or reserved address")]
    NotPublic,
}

/// Asks what addresses a name has.
#[async_trait]
pub trait Lookup: Send + Sync + fmt::Debug {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The resolver of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// What is allowed, and who is asked for addresses. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    allow_private: bool,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    pub fn new(allow_private: bool, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            allow_private,
            lookup,
        }
    }

    pub(super) fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// What the URL itself says.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), Forbidden> {
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            "http" => return Err(Forbidden::NotHttps),
            _ => return Err(Forbidden::NotHttp),
        }
        let is_plain =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !is_plain {
            return Err(Forbidden::NotPlain);
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Forbidden::NotHttp),
        }
    }

    /// What can be known of an address when it is registered. A name that has no address yet may get one:
    /// what counts is where it leads when something is sent.
    pub(super) async fn check_registration(&self, url: &Url) -> Result<(), Forbidden> {
        self.check_url(url)?;
        let Some(Host::Domain(host)) = url.host() else {
            return Ok(());
        };
        let found = self.lookup.lookup(host).await.unwrap_or_default();
        found
            .into_iter()
            .try_for_each(|address| self.check(address))
    }

    fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        if self.allow_private || is_public(address) {
            Ok(())
        } else {
            Err(Forbidden::NotPublic)
        }
    }

    /// The addresses of a name that may be connected to.
    async fn allowed(&self, host: &str) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        let mut found = self.lookup.lookup(host).await?;
        let had_any = !found.is_empty();
        found.retain(|address| self.check(*address).is_ok());
        if had_any && found.is_empty() {
            return Err(Forbidden::NotPublic.into());
        }
        Ok(found)
    }
}

/// The guard as the HTTP client asks it, at every connection.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.allowed(name.as_str()).await?;
            // The client puts the port in the place of the zero.
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(Vec<IpAddr>);

    #[async_trait]
    impl Lookup for Fixed {
        async fn lookup(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
            Ok(self.0.clone())
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn guard(addresses: &[&str], allow_private: bool) -> Guard {
        let addresses = addresses.iter().map(|text| address(text)).collect();
        Guard::new(allow_private, Arc::new(Fixed(addresses)))
    }

    #[test]
    fn only_the_public_internet_is_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
        for text in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn a_url_is_https_and_hides_nothing() {
        let strict = guard(&[], false);
        let lenient = guard(&[], true);
        let told = |guard: &Guard, text: &str| guard.check_url(&text.parse().expect("a URL"));
        assert_eq!(told(&strict, "https://hooks.example.com/a?b=c"), Ok(()));
        for (text, why) in [
            ("http://hooks.example.com", Forbidden::NotHttps),
            ("ftp://hooks.example.com", Forbidden::NotHttp),
            ("https://user@hooks.example.com", Forbidden::NotPlain),
            ("https://hooks.example.com/#a", Forbidden::NotPlain),
            ("https://127.0.0.1", Forbidden::NotPublic),
            // The same address in other spellings.
            ("https://2130706433", Forbidden::NotPublic),
            ("https://0x7f.1", Forbidden::NotPublic),
            ("https://0177.0.0.1", Forbidden::NotPublic),
            ("https://[::ffff:10.0.0.1]", Forbidden::NotPublic),
            ("https://[fe80::1]", Forbidden::NotPublic),
        ] {
            assert_eq!(told(&strict, text), Err(why), "{text}");
        }
        assert_eq!(told(&lenient, "http://127.0.0.1:8080/hook"), Ok(()));
        assert_eq!(
            told(&lenient, "file:///etc/passwd"),
            Err(Forbidden::NotHttp)
        );
    }

    #[tokio::test]
    async fn a_name_is_worth_what_its_addresses_are() {
        let url = "https://hooks.example.com".parse().expect("a URL");
        let mixed = guard(&["8.8.8.8", "10.0.0.1"], false);
        let refused = mixed.check_registration(&url).await;
        assert_eq!(refused, Err(Forbidden::NotPublic));
        // Later, what is public of it is used.
        let allowed = mixed.allowed("hooks.example.com").await.expect("some");
        assert_eq!(allowed, [address("8.8.8.8")]);
        let private = guard(&["127.0.0.1", "::1"], false);
        let refused = private.allowed("hooks.example.com").await;
        let refused = refused.expect_err("refused");
        assert!(refused.downcast_ref::<Forbidden>().is_some());
        let lenient = guard(&["127.0.0.1"], true);
        assert_eq!(lenient.check_registration(&url).await, Ok(()));
    }
}
