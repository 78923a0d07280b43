//! The HTTP client to providers: bounded time, bounded bodies, no redirects, no retries.
//!
//! Owns what is common to every provider call: sending a request, reading at most
//! [`MAX_BODY_BYTES`] of its answer, and what the transport itself says about failure. Reading
//! *meaning* into a status or a body is each provider's own affair.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use crate::domain::{FailureCode, SyncFailure, Timestamp};
use crate::failpoint::{self, Injected, Step};

/// The largest answer that is read. A full batch of 50 events is well under 1 MiB.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// How long to wait for a connection to a provider.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take, from the first byte sent to the last byte read.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait a provider may ask for; more is read as this much, and then asked again.
pub const MAX_RETRY_AFTER: TimeDelta = TimeDelta::hours(24);

/// The one client of the daemon, cheap to clone.
///
/// # Errors
/// When the TLS backend cannot be set up, for instance without any root certificates.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("calendar-integration/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        // A redirect would carry the access token to wherever the answer points.
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(Duration::from_secs(60))
        .build()
}

/// An answer, read to its end. `Debug` shows no body: it may hold tokens or client details.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// Reads the body as JSON. What is not the expected JSON is the provider's passing trouble:
    /// the call may have taken effect, and the next attempt finds out.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, SyncFailure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            SyncFailure::retryable(
                FailureCode::BadAnswer,
                "the provider's answer was not what its interface promises",
            )
        })
    }

    pub fn retry_after(&self, now: Timestamp) -> Option<Timestamp> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after(text, now)
    }
}

/// Sends a request and reads its answer within the bounds.
pub async fn send(request: RequestBuilder) -> Result<Answer, SyncFailure> {
    failpoint::before(Step::Call)?;
    let mut response = request.send().await.map_err(|error| transport(&error))?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(SyncFailure::retryable(
                FailureCode::BadAnswer,
                "the provider's answer was larger than 4 MiB",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    failpoint::after(Step::Call)?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

impl From<Injected> for SyncFailure {
    fn from(injected: Injected) -> Self {
        Self::retryable(FailureCode::Network, injected.to_string())
    }
}

/// The error's own text is left out: it can hold the address, and with it a token in a query.
fn transport(error: &reqwest::Error) -> SyncFailure {
    if error.is_timeout() {
        SyncFailure::retryable(FailureCode::Timeout, "the provider did not answer in time")
    } else if error.is_connect() {
        SyncFailure::retryable(FailureCode::Network, "the provider could not be reached")
    } else {
        SyncFailure::retryable(
            FailureCode::Network,
            "the connection to the provider broke off",
        )
    }
}

/// When `Retry-After` (RFC 9110, section 10.2.3) says to come back.
///
/// Seconds, also fractional as Graph sends them and then rounded up, or an HTTP date. What is
/// neither is as if absent; what lies in the past is now; what lies more than
/// [`MAX_RETRY_AFTER`] ahead is that far.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_nan() || seconds < 0.0 => return None,
        Ok(seconds) => {
            let most = MAX_RETRY_AFTER.as_seconds_f64();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a whole number between 0 and 86,400"
            )]
            let whole = seconds.ceil().min(most) as i64;
            TimeDelta::seconds(whole)
        }
        Err(_) => Timestamp::from(httpdate::parse_http_date(text).ok()?) - now,
    };
    Some(now + wait.clamp(TimeDelta::zero(), MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds_from_now(text: &str) -> Option<i64> {
        let now = "2026-11-01T12:00:00Z".parse().expect("an instant");
        retry_after(text, now).map(|at| (at - now).num_seconds())
    }

    #[test]
    fn retry_after_is_read_in_every_form_that_was_seen() {
        assert_eq!(seconds_from_now("30"), Some(30));
        assert_eq!(seconds_from_now("2.128"), Some(3));
        assert_eq!(seconds_from_now("Sun, 01 Nov 2026 12:01:00 GMT"), Some(60));
        assert_eq!(seconds_from_now("Sun, 01 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(seconds_from_now("1e300"), Some(86_400));
        assert_eq!(seconds_from_now("soon"), None);
        assert_eq!(seconds_from_now("-5"), None);
        assert_eq!(seconds_from_now("NaN"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_retry_after_panic_or_wait_longer_than_a_day(text in ".{0,40}") {
            if let Some(wait) = seconds_from_now(&text) {
                prop_assert!((0..=86_400).contains(&wait));
            }
        }
    }
}
