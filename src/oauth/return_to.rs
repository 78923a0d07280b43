//! Where the browser goes after a sign-in, and how it learns the outcome.
//!
//! An address from a request is an open redirect in waiting. It is parsed once, by the same rules
//! browsers use; its origin must be one of the allowed ones, exactly; and what is sent out is the
//! parsed value, never the text that came in.

use url::{Origin, Url, form_urlencoded};

use super::CallbackError;
use crate::domain::{ConnectionId, ProviderKind};

/// The longest return address. It ends up in a header and a row.
const MAX_LENGTH: usize = 2048;

/// Parameters of ours; what came in under these names is dropped, so that an address used before,
/// or made up, cannot tell of another outcome.
const OUTCOME: [&str; 4] = ["success", "error", "provider", "connection_id"];

/// The origins a browser may be sent back to.
#[derive(Clone, Debug)]
pub struct AllowedOrigins(Vec<Origin>);

impl AllowedOrigins {
    /// The origins of these addresses; one that is not of the web allows nothing.
    pub fn of<'a>(addresses: impl IntoIterator<Item = &'a Url>) -> Self {
        let web = addresses.into_iter().filter(|url| is_web(url));
        Self(web.map(Url::origin).collect())
    }

    pub fn of_origins(origins: Vec<Origin>) -> Self {
        Self(origins)
    }

    fn allow(&self, url: &Url) -> bool {
        self.0.contains(&url.origin())
    }
}

/// Why an address is not one to return to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReturnAddressRefused {
    #[error("the return address is longer than {MAX_LENGTH} characters")]
    TooLong,
    #[error("the return address is not a complete http or https address")]
    NotAnAddress,
    #[error("the return address must not hold a user name or password")]
    HasCredentials,
    #[error("the return address is not on an allowed origin")]
    ForeignOrigin,
}

/// An address on an allowed origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress(Url);

impl ReturnAddress {
    /// Reads and checks an address. Stored ones are checked again when they are used, for the
    /// allowed origins may have changed meanwhile.
    pub fn parse(text: &str, allowed: &AllowedOrigins) -> Result<Self, ReturnAddressRefused> {
        if text.len() > MAX_LENGTH {
            return Err(ReturnAddressRefused::TooLong);
        }
        // Parsers forgive these, each in its own way; no honest caller sends them.
        if text.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
            return Err(ReturnAddressRefused::NotAnAddress);
        }
        let url = Url::parse(text).map_err(|_| ReturnAddressRefused::NotAnAddress)?;
        // Before the origin is asked for: that of a `blob:` address is the origin inside it.
        if !is_web(&url) {
            return Err(ReturnAddressRefused::NotAnAddress);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ReturnAddressRefused::HasCredentials);
        }
        // Escaping non-ASCII characters makes an address longer.
        if url.as_str().len() > MAX_LENGTH {
            return Err(ReturnAddressRefused::TooLong);
        }
        if !allowed.allow(&url) {
            return Err(ReturnAddressRefused::ForeignOrigin);
        }
        Ok(Self(url))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address that tells of a new or revived connection.
    pub fn connected(&self, provider: ProviderKind, connection: ConnectionId) -> Url {
        self.with_outcome(&[
            ("success", "connected"),
            ("provider", provider.as_str()),
            ("connection_id", &connection.to_string()),
        ])
    }

    /// The address that tells of a failure. The provider is unknown where no sign-in of ours
    /// belongs to the callback.
    pub fn failed(&self, error: CallbackError, provider: Option<ProviderKind>) -> Url {
        match provider {
            Some(provider) => {
                self.with_outcome(&[("error", error.as_str()), ("provider", provider.as_str())])
            }
            None => self.with_outcome(&[("error", error.as_str())]),
        }
    }

    /// Appends to the query that is there, and leaves the fragment where it was: behind it.
    fn with_outcome(&self, outcome: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        let kept = url
            .query()
            .map(without_outcome)
            .filter(|kept| !kept.is_empty());
        url.set_query(kept.as_deref());
        url.query_pairs_mut().extend_pairs(outcome);
        url
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The query without our parameters, every other one letter by letter as it was.
fn without_outcome(query: &str) -> String {
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next();
        !name.is_some_and(|(name, _)| OUTCOME.contains(&name.as_ref()))
    };
    query
        .split('&')
        .filter(is_kept)
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allowed() -> AllowedOrigins {
        let origins = ["https://app.example.com/dashboard", "http://localhost:3001"];
        let urls: Vec<Url> = origins
            .iter()
            .map(|url| url.parse().expect("a URL"))
            .collect();
        AllowedOrigins::of(&urls)
    }

    fn parse(text: &str) -> Result<ReturnAddress, ReturnAddressRefused> {
        ReturnAddress::parse(text, &allowed())
    }

    fn failed(text: &str) -> String {
        let address = parse(text).expect("an allowed address");
        address
            .failed(CallbackError::AccessDenied, Some(ProviderKind::Google))
            .into()
    }

    #[test]
    fn any_path_on_an_allowed_origin_will_do() {
        for text in [
            "https://app.example.com",
            "https://APP.example.com:443/settings?tab=calendar#top",
            "http://localhost:3001/x",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn no_disguise_of_a_foreign_origin_gets_through() {
        for text in [
            "http://app.example.com/",
            "https://app.example.com:8443/",
            "https://app.example.com.evil.test/",
            "https://evil.test/https://app.example.com/",
            "https://app.example.com@evil.test/",
            "https://app.example.com%40evil.test/",
            "https://evil.test#@app.example.com/",
            "https://evil.test\\@app.example.com/",
            "https:\\\\evil.test/",
            "//evil.test/",
            "/\\evil.test",
            "///evil.test",
            "/dashboard",
            "",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "blob:https://app.example.com/0",
            "file://app.example.com/",
            "https://app.example.com\u{2024}evil.test/",
            "https://аpp.example.com/",
            "https://localhost:3001/",
            "http://127.0.0.1:3001/",
            "http://localhost:3001\t.evil.test/",
            " https://app.example.com/",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_user_name_is_refused_even_on_an_allowed_origin() {
        for text in [
            "https://me@app.example.com/",
            "https://:word@app.example.com/",
        ] {
            assert_eq!(parse(text), Err(ReturnAddressRefused::HasCredentials));
        }
    }

    #[test]
    fn an_address_is_bounded_before_and_after_escaping() {
        let long = format!("https://app.example.com/{}", "a".repeat(MAX_LENGTH));
        let grows = format!("https://app.example.com/{}", "ä".repeat(800));
        for text in [long, grows] {
            assert_eq!(parse(&text), Err(ReturnAddressRefused::TooLong));
        }
    }

    #[test]
    fn an_origin_that_is_not_of_the_web_allows_nothing() {
        let mail: Url = "mailto:a@example.com".parse().expect("a URL");
        let none = AllowedOrigins::of([&mail]);
        assert!(ReturnAddress::parse("mailto:a@example.com", &none).is_err());
    }

    #[test]
    fn the_outcome_joins_the_query_and_stays_before_the_fragment() {
        let outcome = "error=access_denied&provider=google";
        for (text, expected) in [
            (
                "https://app.example.com",
                format!("https://app.example.com/?{outcome}"),
            ),
            (
                "https://app.example.com/a?",
                format!("https://app.example.com/a?{outcome}"),
            ),
            (
                "https://app.example.com/a?b=%20c&d#e?f",
                format!("https://app.example.com/a?b=%20c&d&{outcome}#e?f"),
            ),
        ] {
            assert_eq!(failed(text), expected);
        }
    }

    #[test]
    fn an_outcome_that_came_in_does_not_go_out() {
        assert_eq!(
            failed(
                "https://app.example.com/?success=connected&%65rror=x&tab=1&provider&connection_id=2"
            ),
            "https://app.example.com/?tab=1&error=access_denied&provider=google"
        );
    }

    #[test]
    fn a_connection_is_named_and_an_unknown_provider_is_not() {
        let address = parse("http://localhost:3001/dashboard").expect("an address");
        let id = ConnectionId(uuid::Uuid::nil());
        assert_eq!(
            address.connected(ProviderKind::Outlook, id).as_str(),
            "http://localhost:3001/dashboard?success=connected&provider=outlook\
             &connection_id=00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(
            address.failed(CallbackError::InvalidState, None).as_str(),
            "http://localhost:3001/dashboard?error=invalid_state"
        );
    }

    /// Texts that come close to an address: pieces that matter to a parser, in any order.
    fn nearly_an_address() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("https:".to_owned()),
            Just("http:".to_owned()),
            Just("javascript:".to_owned()),
            Just("blob:".to_owned()),
            Just("//".to_owned()),
            Just("app.example.com".to_owned()),
            Just("localhost:3001".to_owned()),
            Just("evil.test".to_owned()),
            prop::sample::select(vec![
                "/", "\\", "@", ":", "?", "#", "%", ".", "&", "=", "\t"
            ])
            .prop_map(str::to_owned),
            "\\PC{0,3}",
        ];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn whatever_gets_through_leads_to_an_allowed_origin(
            text in prop_oneof![
                nearly_an_address(),
                nearly_an_address().prop_map(|rest| format!("https://app.example.com{rest}")),
                ".{0,60}",
            ]
        ) {
            if let Ok(address) = parse(&text) {
                let out = address.failed(CallbackError::ProviderError, Some(ProviderKind::Google));
                // As a browser will read it: from its text.
                let out = Url::parse(out.as_str()).expect("an address");
                let origin = out.origin().ascii_serialization();
                prop_assert!(
                    ["https://app.example.com", "http://localhost:3001"].contains(&origin.as_str())
                );
                prop_assert!(out.username().is_empty() && out.password().is_none());
                prop_assert_eq!(out.fragment(), address.0.fragment());
                let errors: Vec<_> = out.query_pairs().filter(|(name, _)| name == "error").collect();
                prop_assert_eq!(errors, [("error".into(), "provider_error".into())]);
                prop_assert_eq!(parse(address.as_str()), Ok(address));
            }
        }
    }
}
