//! What the token endpoint grants, read leniently where nothing depends on it.
//!
//! An answer that is thrown away can cost the connection (a rotated refresh token is in it), so an
//! odd `expires_in` is bounded instead of refused.

use chrono::TimeDelta;
use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::scopes;
use crate::domain::{ProviderKind, Timestamp};

/// Lifetime of an access token whose answer does not say.
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// Longest lifetime that is believed. Both providers grant about an hour.
const LONGEST_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// Shortest lifetime that is acted on: a token said to be dead on arrival would be refreshed before
/// every call. If it really is, the provider's 401 says so.
const SHORTEST_LIFETIME: TimeDelta = TimeDelta::seconds(60);

/// Access to an account.
#[derive(Clone)]
pub struct Grant {
    pub access_token: SecretString,
    /// Absent after a refresh that leaves the stored one in force.
    pub refresh_token: Option<SecretString>,
    /// UTC; 60 seconds to 24 hours after the request left.
    pub expires_at: Timestamp,
    /// As the provider names them; compare with [`OAuthClient::missing_scopes`] only.
    ///
    /// [`OAuthClient::missing_scopes`]: super::OAuthClient::missing_scopes
    pub scopes: Vec<String>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A token answer (RFC 6749, section 5.1). Prints no token: the crate's types redact themselves.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TokenAnswer {
    access_token: AccessToken,
    #[serde(deserialize_with = "oauth2::helpers::deserialize_untagged_enum_case_insensitive")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "lenient_seconds")]
    expires_in: Option<u64>,
    refresh_token: Option<RefreshToken>,
    #[serde(
        default,
        rename = "scope",
        deserialize_with = "oauth2::helpers::deserialize_space_delimited_vec"
    )]
    scopes: Option<Vec<Scope>>,
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<std::time::Duration> {
        self.expires_in.map(std::time::Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

impl TokenAnswer {
    /// The grant, or `None` if its access token cannot be sent as a bearer token.
    ///
    /// `asked_at` is when the request left: the lifetime counts from no earlier than that.
    pub(super) fn into_grant(self, provider: ProviderKind, asked_at: Timestamp) -> Option<Grant> {
        match self.token_type {
            BasicTokenType::Bearer => {}
            BasicTokenType::Mac | BasicTokenType::Extension(_) => return None,
        }
        let access_token = self.access_token.into_secret();
        if access_token.is_empty() || !is_printable(&access_token) {
            return None;
        }
        Some(Grant {
            access_token: access_token.into(),
            refresh_token: self
                .refresh_token
                .map(RefreshToken::into_secret)
                .filter(|token| !token.is_empty())
                .map(SecretString::from),
            expires_at: asked_at + lifetime(self.expires_in),
            scopes: granted(provider, self.scopes.as_deref()),
        })
    }
}

/// Tokens are visible ASCII (RFC 6749, appendix A.12); anything else would not fit a header.
fn is_printable(token: &str) -> bool {
    token.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// An absent scope means that everything asked for was granted (RFC 6749, section 5.1).
fn granted(provider: ProviderKind, named: Option<&[Scope]>) -> Vec<String> {
    match named {
        None => scopes::requested(provider)
            .iter()
            .map(|&scope| scope.to_owned())
            .collect(),
        Some(named) => named
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .filter(|scope| !scope.is_empty())
            .collect(),
    }
}

fn lifetime(expires_in: Option<u64>) -> TimeDelta {
    let Some(seconds) = expires_in else {
        return DEFAULT_LIFETIME;
    };
    i64::try_from(seconds)
        .ok()
        .and_then(TimeDelta::try_seconds)
        .unwrap_or(LONGEST_LIFETIME)
        .clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME)
}

/// Seconds as a number of any kind or as digits in a text; what is neither is as if absent.
fn lenient_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and the lifetime is bounded afterwards"
    )]
    let whole = seconds
        .filter(|seconds: &f64| !seconds.is_nan())
        .map(|seconds| seconds as u64);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn asked_at() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().expect("an instant")
    }

    fn grant(answer: Value) -> Option<Grant> {
        let answer: TokenAnswer = serde_json::from_value(answer).ok()?;
        answer.into_grant(ProviderKind::Google, asked_at())
    }

    fn lifetime_of(expires_in: &Value) -> i64 {
        let answer = json!({"access_token": "a", "token_type": "Bearer", "expires_in": expires_in});
        let grant = grant(answer).expect("a grant");
        (grant.expires_at - asked_at()).num_seconds()
    }

    #[test]
    fn an_odd_lifetime_is_bounded_and_never_costs_the_grant() {
        for (expires_in, seconds) in [
            (json!(3599), 3599),
            (json!("3599"), 3599),
            (json!(3599.9), 3599),
            (json!(null), 3600),
            (json!("soon"), 3600),
            (json!({}), 3600),
            (json!(0), 60),
            (json!(-5), 60),
            (json!(59), 60),
            (json!(u64::MAX), 86_400),
            (json!(1e300), 86_400),
        ] {
            assert_eq!(lifetime_of(&expires_in), seconds, "{expires_in}");
        }
        let unsaid = grant(json!({"access_token": "a", "token_type": "Bearer"}));
        let unsaid = unsaid.expect("a grant");
        assert_eq!(unsaid.expires_at - asked_at(), DEFAULT_LIFETIME);
    }

    #[test]
    fn the_token_type_is_bearer_in_any_case_and_nothing_else() {
        for (token_type, usable) in [
            ("Bearer", true),
            ("BEARER", true),
            ("mac", false),
            ("pop", false),
        ] {
            let answer = json!({"access_token": "a", "token_type": token_type});
            assert_eq!(grant(answer).is_some(), usable, "{token_type}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_no_grant() {
        for token in ["", "a\nb", "ä"] {
            assert!(grant(json!({"access_token": token, "token_type": "Bearer"})).is_none());
        }
    }

    #[test]
    fn an_empty_refresh_token_is_none() {
        let answer = json!({"access_token": "a", "token_type": "Bearer", "refresh_token": ""});
        assert!(grant(answer).expect("a grant").refresh_token.is_none());
    }

    #[test]
    fn an_absent_scope_means_all_that_was_asked_and_an_empty_one_means_none() {
        let unsaid = json!({"access_token": "a", "token_type": "Bearer"});
        let unsaid = grant(unsaid).expect("a grant").scopes;
        assert_eq!(unsaid, scopes::requested(ProviderKind::Google));
        let empty = json!({"access_token": "a", "token_type": "Bearer", "scope": ""});
        assert!(grant(empty).expect("a grant").scopes.is_empty());
    }

    #[test]
    fn a_grant_prints_no_token() {
        let answer =
            json!({"access_token": "hush-a", "token_type": "Bearer", "refresh_token": "hush-r"});
        let grant = grant(answer).expect("a grant");
        assert_eq!(grant.access_token.expose_secret(), "hush-a");
        assert!(!format!("{grant:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn every_number_gives_a_lifetime_within_the_bounds(expires_in in any::<f64>()) {
            prop_assert!((60..=86_400).contains(&lifetime_of(&json!(expires_in))));
        }
    }
}
