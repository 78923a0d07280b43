//! How much callers and addresses may ask of us, and whose word counts for an address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::limits::Quota;
use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static REQUEST_LIMIT_PER_COACH: Setting = Setting {
    name: "REQUEST_LIMIT_PER_COACH",
    default: Preset::Value("6000/1m"),
    meaning: "requests per window of one coach; beyond it 429",
    allowed: Allowed::Quota { min_units: 1 },
    secret: false,
};

pub(super) static REQUEST_LIMIT_PER_SERVICE: Setting = Setting {
    name: "REQUEST_LIMIT_PER_SERVICE",
    default: Preset::Value("300000/1m"),
    meaning: "requests per window of one caller with the role service or admin; beyond it 429",
    allowed: Allowed::Quota { min_units: 1 },
    secret: false,
};

pub(super) static REQUEST_LIMIT_PER_ADDRESS: Setting = Setting {
    name: "REQUEST_LIMIT_PER_ADDRESS",
    default: Preset::Value("600000/1m"),
    meaning: "requests per window of one address, whoever calls from there; beyond it 429",
    allowed: Allowed::Quota { min_units: 1 },
    secret: false,
};

pub(super) static TRUSTED_PROXIES: Setting = Setting {
    name: "TRUSTED_PROXIES",
    default: Preset::Unset("an address is that of the socket"),
    meaning: "proxies whose X-Forwarded-For says which address calls",
    allowed: Allowed::Words(
        "addresses and networks such as 10.0.0.7 or 10.0.0.0/8, comma separated",
    ),
    secret: false,
};

/// How much one caller and one address may ask.
#[derive(Clone, Debug)]
pub struct RequestConfig {
    pub per_coach: Quota,
    /// Also of an admin.
    pub per_service: Quota,
    pub per_address: Quota,
    pub trusted_proxies: Vec<IpNet>,
}

impl Section for RequestConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let per_coach = reader.quota(&REQUEST_LIMIT_PER_COACH);
        let per_service = reader.quota(&REQUEST_LIMIT_PER_SERVICE);
        let per_address = reader.quota(&REQUEST_LIMIT_PER_ADDRESS);
        let trusted_proxies = reader.parse(&TRUSTED_PROXIES, |text| {
            text.split(',').map(|entry| network(entry.trim())).collect()
        });
        Some(Self {
            per_coach: per_coach?,
            per_service: per_service?,
            per_address: per_address?,
            trusted_proxies: trusted_proxies.unwrap_or_default(),
        })
    }
}

/// A network, or the network of one address.
fn network(text: &str) -> Option<IpNet> {
    let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn proxies_are_addresses_and_networks() {
        let load = |text| {
            RequestConfig::load(&Sources::of_pairs([("TRUSTED_PROXIES", text)]))
                .map(|config| config.trusted_proxies)
        };
        let proxies = load("10.0.0.7, fd00::/8").expect("allowed");
        let texts: Vec<_> = proxies.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.7/32", "fd00::/8"]);
        for text in ["proxy.example.org", "10.0.0.7,", "10.0.0.0/33", "*"] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
