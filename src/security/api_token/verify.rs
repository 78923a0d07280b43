//! Checks a token and says whose it is.

use std::sync::Arc;

use chrono::DateTime;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwks::Jwks;
use super::{Caller, InvalidCaller, Realm, Role, Trust};
use crate::domain::{Clock, Timestamp};

/// Longer tokens are refused before they are decoded.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far the clocks of issuer and daemon may be apart.
const LEEWAY_SECONDS: f64 = 60.0;

/// Why a caller is not believed. All but [`TokenError::KeysUnavailable`] mean 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("a bearer token is required")]
    Missing,
    #[error("the token is not a JWT")]
    Malformed,
    #[error("the token's algorithm is not accepted here")]
    WrongAlgorithm,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    BadSignature,
    #[error("the token's claim {0} is missing")]
    MissingClaim(&'static str),
    #[error("the token's claim {0} has the wrong form")]
    BadClaim(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token comes from another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token's role is not known")]
    UnknownRole,
    #[error("the token's subject does not fit its role")]
    WrongSubject(#[source] InvalidCaller),
    /// Nobody's token can be checked: 503, and later again.
    #[error("the keys that tokens are checked with cannot be fetched")]
    KeysUnavailable,
}

impl TokenError {
    /// The value of `WWW-Authenticate`. A request without a token is told no error code: RFC 6750,
    /// section 3.1.
    pub fn challenge(&self) -> String {
        match self {
            Self::Missing | Self::KeysUnavailable => "Bearer".to_owned(),
            Self::Malformed
            | Self::WrongAlgorithm
            | Self::UnknownKey
            | Self::BadSignature
            | Self::MissingClaim(_)
            | Self::BadClaim(_)
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::UnknownRole
            | Self::WrongSubject(_) => {
                format!(r#"Bearer error="invalid_token", error_description="{self}""#)
            }
        }
    }
}

/// A token that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub caller: Caller,
    pub good_until: Timestamp,
}

/// Checks tokens against one trust and one realm, at the time of one clock.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    realm: Realm,
    clock: Arc<dyn Clock>,
}

enum Keys {
    Secret(DecodingKey),
    Jwks(Jwks),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(redacted)",
            Self::Jwks(_) => "Jwks",
        })
    }
}

/// What of the header we act on. `jwk`, `jku`, `x5c` and `x5u` name keys that the sender chose, and
/// are never looked at.
#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Verifier {
    /// `http` fetches the JWKS; a shared secret needs none of it.
    pub fn new(trust: Trust, realm: Realm, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let keys = match trust {
            Trust::Secret(secret) => {
                Keys::Secret(DecodingKey::from_secret(secret.expose_secret().as_bytes()))
            }
            Trust::Jwks(url) => Keys::Jwks(Jwks::new(url, http, clock.clone())),
        };
        Self { keys, realm, clock }
    }

    /// Fetches the published keys, so that the first caller need not wait. Failing is no harm: the
    /// next caller tries again.
    pub async fn warm_up(&self) {
        match &self.keys {
            Keys::Secret(_) => {}
            Keys::Jwks(jwks) => jwks.warm_up().await,
        }
    }

    /// The caller named by the value of an `Authorization` header.
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, TokenError> {
        let (scheme, token) = authorization
            .and_then(|value| value.trim().split_once(' '))
            .ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Missing);
        }
        self.verify(token.trim_start()).await
    }

    /// The caller named by `token`.
    pub async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.read(token).await.map(|token| token.caller)
    }

    /// What `token` says.
    pub async fn read(&self, token: &str) -> Result<Token, TokenError> {
        let header = header_of(token).ok_or(TokenError::Malformed)?;
        if header.crit.is_some() {
            // We know no extension, and must refuse what we do not know: RFC 7515, section 4.1.11.
            return Err(TokenError::Malformed);
        }
        let kid = header.kid.as_deref();
        let claims = match (&self.keys, header.alg.as_str()) {
            (Keys::Secret(key), "HS256") => claims_of(token, key, Algorithm::HS256)?,
            (Keys::Jwks(jwks), "RS256") => jwks_claims(jwks, token, kid, Algorithm::RS256).await?,
            (Keys::Jwks(jwks), "ES256") => jwks_claims(jwks, token, kid, Algorithm::ES256).await?,
            (Keys::Jwks(jwks), "EdDSA") => jwks_claims(jwks, token, kid, Algorithm::EdDSA).await?,
            (Keys::Secret(_) | Keys::Jwks(_), _) => return Err(TokenError::WrongAlgorithm),
        };
        let good_until = self.check_times(&claims)?;
        self.check_realm(&claims)?;
        let caller = caller_of(&claims)?;
        Ok(Token { caller, good_until })
    }

    /// Until when what goes on for longer than a request may go on.
    fn check_times(&self, claims: &Map<String, Value>) -> Result<Timestamp, TokenError> {
        // Seconds, perhaps with a fraction: RFC 7519, section 2, NumericDate.
        let seconds = |name| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::BadClaim(name)),
        };
        let now = self.clock.now().timestamp() as f64;
        let expires = seconds("exp")?.ok_or(TokenError::MissingClaim("exp"))?;
        if now >= expires + LEEWAY_SECONDS {
            return Err(TokenError::Expired);
        }
        // One that was issued in the future was issued by a clock that is wrong, or by nobody.
        for from in [seconds("nbf")?, seconds("iat")?].into_iter().flatten() {
            if now + LEEWAY_SECONDS < from {
                return Err(TokenError::NotYetValid);
            }
        }
        // One that is believed only because clocks differ is so to its end.
        let until = if now < expires {
            expires
        } else {
            expires + LEEWAY_SECONDS
        };
        // Beyond what a time can be: for ever.
        Ok(DateTime::from_timestamp(until as i64, 0).unwrap_or(Timestamp::MAX_UTC))
    }

    fn check_realm(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        if let Some(issuer) = &self.realm.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::WrongIssuer);
        }
        let Some(audience) = &self.realm.audience else {
            return Ok(());
        };
        // One audience or a list of them: RFC 7519, section 4.1.3.
        let is_for_us = match claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one == audience),
            Some(_) | None => false,
        };
        is_for_us.then_some(()).ok_or(TokenError::WrongAudience)
    }
}

fn header_of(token: &str) -> Option<TokenHeader> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let (header, _) = token.split_once('.')?;
    let json = BASE64URL_NOPAD.decode(header.as_bytes()).ok()?;
    serde_json::from_slice(&json).ok()
}

async fn jwks_claims(
    jwks: &Jwks,
    token: &str,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<Map<String, Value>, TokenError> {
    let key = jwks.find(kid, algorithm).await?;
    claims_of(token, &key, algorithm)
}

/// The claims of a token that `key` signed with `algorithm`.
fn claims_of(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<Map<String, Value>, TokenError> {
    let mut validation = Validation::new(algorithm);
    // The library would judge times by the system clock. We judge the claims ourselves.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode(token, key, &validation)
        .map(|token| token.claims)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::BadSignature,
            ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
            _ => TokenError::Malformed,
        })
}

fn caller_of(claims: &Map<String, Value>) -> Result<Caller, TokenError> {
    let text = |name| match claims.get(name) {
        None | Some(Value::Null) => Err(TokenError::MissingClaim(name)),
        Some(value) => value.as_str().ok_or(TokenError::BadClaim(name)),
    };
    let role: Role = text("role")?.parse().map_err(|_| TokenError::UnknownRole)?;
    Caller::new(role, text("sub")?).map_err(TokenError::WrongSubject)
}
