//! The keys that callers' tokens are checked with, where an issuer publishes them.

use url::Url;

use super::{Finding, Verdict};
use crate::provider::http;
use crate::security::api_token::count_published;

pub(super) async fn examine(jwks: &Url) -> Finding {
    const SUBJECT: &str = "keys of API tokens";
    let Ok(http) = http::client() else {
        return super::providers::no_client();
    };
    match count_published(&http, jwks).await {
        Ok(0) => Finding::new(
            Verdict::Bad,
            SUBJECT,
            "AUTH_JWKS_URL publishes no key for RS256, ES256 or EdDSA: every token is refused",
            "let the issuer publish the key that it signs with",
        ),
        Ok(count) => Finding::good(SUBJECT, format!("AUTH_JWKS_URL publishes {count}")),
        Err(why) => Finding::new(
            Verdict::Bad,
            SUBJECT,
            format!("AUTH_JWKS_URL: {why}"),
            "check the address, and that this machine reaches it; without keys every token is refused",
        ),
    }
}
