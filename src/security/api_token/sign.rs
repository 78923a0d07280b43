//! Signing tokens, for the command `token` and for the demo.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{Caller, Realm};
use crate::domain::Timestamp;

/// Signs with the shared secret that a [`super::Verifier`] checks with.
pub struct Signer {
    key: EncodingKey,
    realm: Realm,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(redacted)")
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: String,
    role: &'static str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

impl Signer {
    pub fn new(secret: &SecretString, realm: Realm) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            realm,
        }
    }

    /// A token that says it comes from `caller` and is good for `ttl`, in whole seconds.
    pub fn sign(&self, caller: &Caller, ttl: Duration, now: Timestamp) -> SecretString {
        let iat = now.timestamp();
        let claims = Claims {
            sub: caller.subject(),
            role: caller.role().as_str(),
            iat,
            exp: iat.saturating_add_unsigned(ttl.as_secs()),
            iss: self.realm.issuer.as_deref(),
            aud: self.realm.audience.as_deref(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
            .map(SecretString::from)
            .expect("HMAC takes every key, and these claims are always JSON")
    }
}
