//! Who sent the browser back: the `iss` of the provider's redirect (RFC 9207).
//!
//! Each sign-in knows its provider, so that a code only ever goes there. Should the redirect say that
//! somebody else made it, the code is not sent at all: it could be meant for another server (the mix-up
//! of RFC 9700, section 4.4). Google says who it is, Microsoft does not; not saying it is no mistake.

use url::Url;

use super::OAuthClient;
use crate::domain::ProviderKind;

/// As its discovery document names it.
const GOOGLE: &str = "https://accounts.google.com";

impl OAuthClient {
    /// Whether this provider calls itself so.
    pub fn is_called(&self, issuer: &str) -> bool {
        match self.provider() {
            ProviderKind::Google => issuer == GOOGLE,
            // `https://login.microsoftonline.com/TENANT/v2.0`, with the tenant of the account that
            // signed in: of any, for an application of all tenants.
            ProviderKind::Outlook => {
                let own = self.protocol().auth_uri().url().origin();
                Url::parse(issuer).is_ok_and(|issuer| issuer.origin() == own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{google_at, microsoft_at};
    use super::*;

    #[test]
    fn a_provider_is_known_by_its_own_name_alone() {
        let server: Url = "https://login.example.org".parse().expect("an address");
        let (google, microsoft) = (google_at(&server), microsoft_at(&server));
        for (client, issuer, is_its) in [
            (&google, "https://accounts.google.com", true),
            (&google, "https://accounts.google.com.evil.test", false),
            (&google, "https://login.example.org", false),
            (&google, "", false),
            (
                &microsoft,
                "https://login.example.org/some-tenant/v2.0",
                true,
            ),
            (
                &microsoft,
                "https://login.example.org.evil.test/t/v2.0",
                false,
            ),
            (&microsoft, "http://login.example.org/t/v2.0", false),
            (&microsoft, "https://accounts.google.com", false),
            (&microsoft, "", false),
        ] {
            assert_eq!(client.is_called(issuer), is_its, "{issuer}");
        }
    }
}
