//! Where we listen, how the world reaches us, and which web pages may call us.

use std::net::SocketAddr;

use url::{Origin, Url};

use super::address;
use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static BIND_ADDRESS: Setting = Setting {
    name: "BIND_ADDRESS",
    default: Preset::Value("127.0.0.1:3001"),
    meaning: "where the HTTP server listens; port 0 takes a free one",
    allowed: Allowed::Words("an IP address with a port, such as 0.0.0.0:3001 or [::]:3001"),
    secret: false,
};

pub(super) static PUBLIC_URL: Setting = Setting {
    name: "PUBLIC_URL",
    default: Preset::Value("http://localhost:3001"),
    meaning: "how browsers and providers reach us; cookies are secure if it is https",
    allowed: Allowed::Words(address::WEB_BASE),
    secret: false,
};

pub(super) static FRONTEND_URL: Setting = Setting {
    name: "FRONTEND_URL",
    default: Preset::Value("${PUBLIC_URL}/dashboard"),
    meaning: "where the callback sends the browser back to; its origin may call the API",
    allowed: Allowed::Words(address::WEB),
    secret: false,
};

pub(super) static CORS_ORIGINS: Setting = Setting {
    name: "CORS_ORIGINS",
    default: Preset::Unset("no further origin"),
    meaning: "further origins that may call the API from a browser and be returned to",
    allowed: Allowed::Words("origins such as https://app.example.org, comma separated"),
    secret: false,
};

#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub bind_address: SocketAddr,
    /// Without a slash at its end, unless the path is that slash alone.
    pub public_url: Url,
    pub frontend_url: Url,
    cors_origins: Vec<Origin>,
}

impl Section for HttpConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bind_address = reader.parse(&BIND_ADDRESS, |text| text.parse().ok());
        let public_url = reader.parse(&PUBLIC_URL, address::web_base);
        let frontend_url = reader.web_url(&FRONTEND_URL);
        let cors_origins = reader.parse(&CORS_ORIGINS, |text| {
            text.split(',')
                .map(|entry| address::origin(entry.trim()))
                .collect()
        });
        Some(Self {
            bind_address: bind_address?,
            public_url: public_url?,
            frontend_url: frontend_url?,
            cors_origins: cors_origins.unwrap_or_default(),
        })
    }
}

impl HttpConfig {
    /// The origins of `FRONTEND_URL` and `PUBLIC_URL` and those in `CORS_ORIGINS`, each once.
    pub fn allowed_origins(&self) -> Vec<Origin> {
        let mut origins = vec![self.frontend_url.origin()];
        for origin in std::iter::once(self.public_url.origin()).chain(self.cors_origins.clone()) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        origins
    }

    /// Whether a browser may be sent to `url`, or may call us from there.
    pub fn allows_origin_of(&self, url: &Url) -> bool {
        self.allowed_origins().contains(&url.origin())
    }

    /// Whether cookies are marked `Secure`: browsers keep no such cookie from plain http.
    pub fn secure_cookies(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn load(pairs: &[(&str, &str)]) -> HttpConfig {
        HttpConfig::load(&Sources::of_pairs(pairs.iter().copied())).expect("allowed")
    }

    #[test]
    fn the_frontend_follows_the_public_url() {
        for public_url in ["https://api.example.org", "https://api.example.org/"] {
            let http = load(&[("PUBLIC_URL", public_url)]);
            assert_eq!(
                http.frontend_url.as_str(),
                "https://api.example.org/dashboard"
            );
            assert!(http.secure_cookies());
        }
        assert!(!load(&[]).secure_cookies());
    }

    #[test]
    fn origins_are_those_of_the_frontend_ourselves_and_the_list() {
        let http = load(&[
            ("FRONTEND_URL", "https://app.example.org/calendar?x=1"),
            (
                "CORS_ORIGINS",
                "https://app.example.org, http://localhost:5173",
            ),
        ]);
        let origins: Vec<_> = http
            .allowed_origins()
            .iter()
            .map(Origin::ascii_serialization)
            .collect();
        assert_eq!(
            origins,
            [
                "https://app.example.org",
                "http://localhost:3001",
                "http://localhost:5173"
            ]
        );
        for (url, allowed) in [
            ("https://app.example.org/elsewhere", true),
            ("http://app.example.org/", false),
            ("https://app.example.org.evil.example/", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(http.allows_origin_of(&url), allowed, "{url}");
        }
    }

    #[test]
    fn a_wrong_public_url_is_one_problem_whatever_follows_from_it() {
        let sources = Sources::of_pairs([("PUBLIC_URL", "calendar.example.org")]);
        let invalid = HttpConfig::load(&sources).expect_err("refused");
        let names: Vec<_> = invalid.problems().iter().map(|p| &p.setting).collect();
        assert_eq!(names, ["PUBLIC_URL"]);
    }
}
