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
    client_within(CALL_TIMEOUT)
}

/// As [`client`], for calls that may take this long.
///
/// # Errors
/// As [`client`].
pub fn client_within(call_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("calendar-integration/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(call_timeout)
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

    /// The moment the provider asks us to wait for. One that is already here says nothing: as a
    /// wait that costs no attempt it would be asked for for ever.
    pub fn retry_after(&self, now: Timestamp) -> Option<Timestamp> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after(text, now).filter(|until| *until > now)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

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

    #[test]
    fn a_wait_that_is_over_already_is_none() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().expect("an instant");
        for (text, wait) in [
            ("0", None),
            ("Sun, 01 Nov 2026 11:00:00 GMT", None),
            ("1", Some(TimeDelta::seconds(1))),
        ] {
            let answer = Answer {
                status: StatusCode::TOO_MANY_REQUESTS,
                headers: [(RETRY_AFTER, text.parse().expect("a header"))]
                    .into_iter()
                    .collect(),
                body: Vec::new(),
            };
            assert_eq!(
                answer.retry_after(now),
                wait.map(|wait| now + wait),
                "{text}"
            );
        }
    }

    /// A server that answers one client with this head and then `piece` over and over. Tells what it
    /// was asked, and how many bytes it could send before the client hung up.
    async fn endless(head: &'static str, piece: &'static [u8]) -> (String, JoinHandle<Asked>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let served = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut request = vec![0; 4096];
            let length = client.read(&mut request).await.expect("a request");
            request.truncate(length);
            client.write_all(head.as_bytes()).await.expect("room");
            let mut sent = 0;
            while !piece.is_empty() && client.write_all(piece).await.is_ok() {
                sent += piece.len();
            }
            // Nothing more to say, but the line stays open for as long as the client holds it.
            let _ = client.read(&mut [0; 1]).await;
            Asked {
                request: String::from_utf8_lossy(&request).into_owned(),
                sent,
            }
        });
        (url, served)
    }

    struct Asked {
        request: String,
        sent: usize,
    }

    async fn failure(client: &reqwest::Client, url: &str) -> SyncFailure {
        let answer = send(client.get(url)).await;
        answer.expect_err("no sound answer")
    }

    fn code(failure: &SyncFailure) -> FailureCode {
        assert!(matches!(failure, SyncFailure::Retryable { .. }));
        failure.code()
    }

    /// What lies in the sockets' buffers was sent, but not read.
    const IN_FLIGHT: usize = 24 * 1024 * 1024;

    #[tokio::test]
    async fn an_endless_answer_is_read_to_the_limit_and_no_further() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        let (url, served) = endless(head, &[b' '; 1 << 16]).await;
        let failure = failure(&client().expect("a client"), &url).await;
        assert_eq!(code(&failure), FailureCode::BadAnswer);
        let sent = served.await.expect("served").sent;
        assert!(sent < MAX_BODY_BYTES + IN_FLIGHT, "{sent} bytes");
    }

    /// Nothing is expanded, so nothing can burst: compression is neither asked for nor undone.
    #[tokio::test]
    async fn a_compressed_answer_stays_as_small_as_it_came() {
        // 10 bytes of a gzip header; whatever would follow is not looked at.
        let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n\
            \x1f\x0b\x08\0\0\0\0\0\0\0";
        let (url, served) = endless(packed, &[]).await;
        let answer = send(client().expect("a client").get(&url)).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.body.len(), 10);
        assert!(answer.json::<serde_json::Value>().is_err());
        drop(answer);
        let request = served.await.expect("served").request.to_lowercase();
        assert!(!request.contains("accept-encoding"), "{request}");
    }

    #[tokio::test]
    async fn silence_and_a_trickle_end_when_the_time_is_up() {
        let quick = client_within(Duration::from_millis(80)).expect("a client");
        let (silent, _served) = endless("", &[]).await;
        let (half, _served_half) =
            endless("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", &[]).await;
        for url in [silent, half] {
            let failure = failure(&quick, &url).await;
            assert_eq!(code(&failure), FailureCode::Timeout);
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_no_order() {
        for status in ["301", "302", "303", "307", "308"] {
            let head =
                format!("HTTP/1.1 {status} Go\r\nlocation: /on\r\ncontent-length: 0\r\n\r\n");
            let (url, served) = endless(head.leak(), &[]).await;
            let client = client().expect("a client");
            let answer = send(client.post(&url).bearer_auth("token")).await;
            assert_eq!(answer.expect("an answer").status.as_str(), status);
            drop(client);
            let request = served.await.expect("served").request;
            assert_eq!(request.matches("HTTP/1.1").count(), 1, "{request}");
        }
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
