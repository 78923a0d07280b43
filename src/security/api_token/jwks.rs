//! The keys an issuer publishes (RFC 7517), fetched when they are needed and kept.
//!
//! A token with an unknown key makes us look again, since issuers rotate, yet at most once per
//! [`MIN_INTERVAL`]: anyone can send such tokens. A set older than [`MAX_AGE`] is fetched anew, so
//! that a withdrawn key stops working: also the last one, for a well-formed set without any that we can
//! use takes the place of the known one. While the endpoint is dead, or answers nonsense, the known keys
//! stay.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::TokenError;
use crate::domain::Clock;

const MIN_INTERVAL: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_secs(600);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;

pub(super) struct Jwks {
    url: Url,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    known: RwLock<Arc<KeySet>>,
    /// When the last fetch began, by the monotonic clock. Whoever holds the lock fetches.
    last_fetch: Mutex<Option<Duration>>,
}

#[derive(Default)]
struct KeySet {
    keys: Vec<Key>,
    /// By the monotonic clock; `None` before the first success.
    fetched_at: Option<Duration>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why the keys could not be fetched, in words for the log.
#[derive(Debug, thiserror::Error)]
enum FetchFailure {
    #[error("the endpoint cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the endpoint did not answer within {} s", FETCH_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the endpoint answered with status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not a JSON Web Key Set")]
    NotAKeySet,
}

impl Jwks {
    pub(super) fn new(url: Url, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            http,
            clock,
            known: RwLock::default(),
            last_fetch: Mutex::default(),
        }
    }

    pub(super) async fn warm_up(&self) {
        self.fetch_if_allowed(&mut *self.last_fetch.lock().await)
            .await;
    }

    /// The key named `kid`; without a name, the only key there is for `algorithm`.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, TokenError> {
        let known = self.known();
        if let Some(key) = known.find(kid, algorithm) {
            // One caller looks for news; the others go on with what is known.
            if known.is_stale(self.clock.monotonic())
                && let Ok(mut last_fetch) = self.last_fetch.try_lock()
            {
                self.fetch_if_allowed(&mut last_fetch).await;
                let known = self.known();
                let key = known.find(kid, algorithm).cloned();
                return key.ok_or_else(|| known.refusal());
            }
            return Ok(key.clone());
        }

        let mut last_fetch = self.last_fetch.lock().await;
        // Someone may have fetched it while we waited.
        if let Some(key) = self.known().find(kid, algorithm) {
            return Ok(key.clone());
        }
        self.fetch_if_allowed(&mut last_fetch).await;
        let known = self.known();
        let key = known.find(kid, algorithm).cloned();
        key.ok_or_else(|| known.refusal())
    }

    fn known(&self) -> Arc<KeySet> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn fetch_if_allowed(&self, last_fetch: &mut Option<Duration>) {
        let now = self.clock.monotonic();
        if last_fetch.is_some_and(|at| now < at + MIN_INTERVAL) {
            return;
        }
        // Noted before the call: one that its caller abandons counts as well.
        *last_fetch = Some(now);
        match fetch(&self.http, &self.url).await {
            Ok(keys) => {
                if keys.is_empty() {
                    tracing::error!(
                        "AUTH_JWKS_URL publishes no key for RS256, ES256 or EdDSA: no token is believed"
                    );
                }
                let set = KeySet {
                    keys,
                    fetched_at: Some(now),
                };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
            }
            Err(failure) => tracing::warn!(
                reason = %failure,
                "could not fetch the keys of API tokens (AUTH_JWKS_URL)"
            ),
        }
    }
}

/// How many keys an issuer publishes there that tokens can be checked with; else why none can be had.
pub(crate) async fn count_published(http: &reqwest::Client, url: &Url) -> Result<usize, String> {
    let keys = fetch(http, url).await;
    keys.map(|keys| keys.len()).map_err(|why| why.to_string())
}

async fn fetch(http: &reqwest::Client, url: &Url) -> Result<Vec<Key>, FetchFailure> {
    let fetched = tokio::time::timeout(FETCH_TIMEOUT, fetch_patiently(http, url)).await;
    fetched.unwrap_or(Err(FetchFailure::TimedOut))
}

async fn fetch_patiently(http: &reqwest::Client, url: &Url) -> Result<Vec<Key>, FetchFailure> {
    let mut response = http.get(url.clone()).send().await?;
    if !response.status().is_success() {
        return Err(FetchFailure::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(FetchFailure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    parse(&body)
}

impl KeySet {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .filter(|key| kid.is_none() || key.id.as_deref() == kid);
        let first = fitting.next()?;
        // Without a name, a second fitting key leaves open which one is meant.
        let is_only = kid.is_some() || fitting.next().is_none();
        is_only.then_some(&first.key)
    }

    /// What is said of a token whose key is not among these.
    fn refusal(&self) -> TokenError {
        if self.keys.is_empty() {
            TokenError::KeysUnavailable
        } else {
            TokenError::UnknownKey
        }
    }

    fn is_stale(&self, now: Duration) -> bool {
        self.fetched_at.is_none_or(|at| now >= at + MAX_AGE)
    }
}

fn parse(body: &[u8]) -> Result<Vec<Key>, FetchFailure> {
    /// Key by key, so that one of a kind we do not know spoils no other.
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document = serde_json::from_slice(body).map_err(|_| FetchFailure::NotAKeySet)?;
    Ok(document
        .keys
        .into_iter()
        .take(MAX_KEYS)
        .filter_map(|value| serde_json::from_value(value).ok())
        .filter_map(|jwk| usable(&jwk))
        .collect())
}

/// The key, if it is meant for signatures of one of the three algorithms. A key serves one
/// algorithm only, and a shared secret none.
fn usable(jwk: &Jwk) -> Option<Key> {
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let is_meant_for_it = common.key_algorithm.is_none_or(|stated| stated == name)
        && common
            .public_key_use
            .as_ref()
            .is_none_or(|stated| *stated == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|stated| stated.contains(&KeyOperations::Verify));
    let key = DecodingKey::from_jwk(jwk).ok()?;
    is_meant_for_it.then(|| Key {
        id: common.key_id.clone(),
        algorithm,
        key,
    })
}
