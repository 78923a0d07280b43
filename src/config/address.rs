//! Which URLs a setting may hold.

use url::{Host, Origin, Url};

/// What [`web`] allows.
pub(super) const WEB: &str = "an http or https URL without user name and fragment";
/// What [`web_base`] allows.
pub(super) const WEB_BASE: &str = "an http or https URL without user name, query and fragment";
/// What [`endpoint`] allows.
pub(super) const ENDPOINT: &str =
    "an https URL (http for loopback hosts) without user name, query and fragment";

/// What [`document`] allows.
pub(super) const DOCUMENT: &str =
    "an https URL (http for loopback hosts) without user name and fragment";

/// A URL that a browser is sent to.
pub(super) fn web(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let allowed = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    allowed.then_some(url)
}

/// A URL that paths are appended to. Comes back without a slash at its end, unless that slash is
/// the whole path.
pub(super) fn web_base(text: &str) -> Option<Url> {
    let mut url = web(text).filter(|url| url.query().is_none())?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// A URL that secrets are sent to: plain http would show them to the network.
pub(super) fn endpoint(text: &str) -> Option<Url> {
    web_base(text).filter(is_private)
}

/// A URL whose answer is believed: over plain http the network could forge it.
pub(super) fn document(text: &str) -> Option<Url> {
    web(text).filter(is_private)
}

/// An origin as browsers write it, such as `https://app.example.org`.
pub(super) fn origin(text: &str) -> Option<Origin> {
    web_base(text)
        .filter(|url| url.path() == "/")
        .map(|url| url.origin())
}

/// Whether what goes there and back stays between us and that host.
fn is_private(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_loses_the_slash_at_its_end() {
        for (text, expected) in [
            (
                "https://graph.microsoft.com/v1.0/",
                "https://graph.microsoft.com/v1.0",
            ),
            ("https://www.googleapis.com", "https://www.googleapis.com/"),
        ] {
            assert_eq!(web_base(text).expect("allowed").as_str(), expected);
        }
    }

    #[test]
    fn secrets_go_to_https_or_to_this_machine() {
        for text in [
            "https://a.example",
            "http://localhost:1",
            "http://127.0.0.2",
            "http://[::1]:8",
        ] {
            assert!(endpoint(text).is_some(), "{text}");
        }
        for text in [
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.a.example",
            "ftp://localhost",
            "https://u:p@a.example",
            "https://a.example?q",
            "https://a.example#f",
            "a.example",
            "",
        ] {
            assert!(endpoint(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        let found = origin("https://App.example:443/").expect("an origin");
        assert_eq!(found.ascii_serialization(), "https://app.example");
        for text in [
            "*",
            "null",
            "https://a.example/path",
            "https://a.example/?q",
        ] {
            assert!(origin(text).is_none(), "{text}");
        }
    }
}
