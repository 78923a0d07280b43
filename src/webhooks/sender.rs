//! One attempt: sign, send, and say in our words how it went.
//!
//! Bounded in time and in what is read of the answer; follows no redirect, which could lead past the
//! guard, and asks no proxy, which would look names up by itself. Nothing of an answer is kept but its
//! status.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::address::{Forbidden, Guard};
use super::secret::Key;
use super::signature::signatures;
use crate::domain::{DeliveryError, DeliveryId, Timestamp};
use crate::failpoint::{self, Injected, Step};
use crate::provider::http::retry_after;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte sent to the last byte read. The specification asks for 15 to 30 seconds.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Read of an answer, so that the connection can be used again; one that says more is dropped.
const MOST_READ: usize = 16 * 1024;

/// What is sent.
pub(super) struct Message<'a> {
    pub(super) id: DeliveryId,
    pub(super) body: &'a str,
    pub(super) keys: &'a [Key],
    pub(super) now: Timestamp,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    /// `None`: it was taken.
    pub(super) error: Option<DeliveryError>,
    /// When the receiver asks us to come back.
    pub(super) retry_after: Option<Timestamp>,
}

impl Answer {
    pub(super) fn failed(error: DeliveryError) -> Self {
        Self {
            status: None,
            error: Some(error),
            retry_after: None,
        }
    }
}

/// Sends to webhooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    http: Client,
    guard: Guard,
}

impl Sender {
    /// # Errors
    /// When the TLS backend cannot be set up.
    pub fn new(guard: Guard) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .user_agent(concat!("calendar-integration/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(!guard.allows_private())
            .dns_resolver(std::sync::Arc::new(guard.clone()))
            .pool_idle_timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { http, guard })
    }

    pub(super) async fn send(&self, url: &Url, message: &Message<'_>) -> Answer {
        // What is allowed may have changed since it was registered.
        if self.guard.check_url(url).is_err() {
            return Answer::failed(DeliveryError::AddressNotAllowed);
        }
        let id = message.id.to_string();
        let at = message.now.timestamp();
        let signature = signatures(message.keys, &id, at, message.body);
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", signature)
            .body(message.body.to_owned());
        match exchange(request).await {
            Ok(response) => answered(response, message.now).await,
            Err(error) => Answer::failed(error),
        }
    }
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Response, DeliveryError> {
    failpoint::before(Step::WebhookSend)?;
    let response = request.send().await.map_err(|error| reason(&error))?;
    failpoint::after(Step::WebhookSend)?;
    Ok(response)
}

impl From<Injected> for DeliveryError {
    fn from(_: Injected) -> Self {
        Self::Network
    }
}

async fn answered(mut response: Response, now: Timestamp) -> Answer {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER);
    let asked = asked.and_then(|value| retry_after(value.to_str().ok()?, now));
    let mut read = 0;
    // How the rest of it ends changes nothing: the status was said.
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > MOST_READ {
            break;
        }
    }
    Answer {
        status: Some(status.as_u16()),
        error: meaning(status),
        retry_after: asked,
    }
}

fn meaning(status: StatusCode) -> Option<DeliveryError> {
    if status.is_success() {
        None
    } else if status == StatusCode::GONE {
        Some(DeliveryError::Gone)
    } else if status.is_redirection() {
        Some(DeliveryError::Redirected)
    } else {
        Some(DeliveryError::Refused)
    }
}

/// The error's own text is left out: it can hold the address.
fn reason(error: &reqwest::Error) -> DeliveryError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<Forbidden>() {
            return DeliveryError::AddressNotAllowed;
        }
        cause = one.source();
    }
    if error.is_timeout() {
        DeliveryError::Timeout
    } else {
        DeliveryError::Network
    }
}
