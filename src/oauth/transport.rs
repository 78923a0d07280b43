//! Carries the `oauth2` crate's requests through our own bounded client.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use oauth2::basic::BasicErrorResponse;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, RequestTokenError};
use reqwest::StatusCode;

use super::refusal::{Refusal, unreadable};
use crate::domain::{Clock, FailureCode, SyncFailure};
use crate::failpoint::Injected;
use crate::provider::http;

/// One call to the token endpoint. Only a 200 goes back to the crate, for it drops the status and
/// `Retry-After` of everything else.
pub(super) struct Transport<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) clock: &'a dyn Clock,
}

/// Why a request was not answered with 200.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFailure {
    #[error("the token endpoint refused")]
    Refused(Refusal),
    #[error(transparent)]
    Failed(SyncFailure),
}

impl fmt::Debug for Transport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl<'c> AsyncHttpClient<'c> for Transport<'_> {
    type Error = CallFailure;
    type Future = BoxFuture<'c, Result<HttpResponse, CallFailure>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.carry(request).boxed()
    }
}

impl Transport<'_> {
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, CallFailure> {
        let request = reqwest::Request::try_from(request).map_err(|_| {
            CallFailure::Failed(SyncFailure::operator(
                FailureCode::RequestRejected,
                "the token endpoint is not an address that can be called",
            ))
        })?;
        let request = reqwest::RequestBuilder::from_parts(self.http.clone(), request);
        let answer = http::send(request).await.map_err(CallFailure::Failed)?;
        if answer.status != StatusCode::OK {
            let refusal = Refusal::read(&answer, self.clock.now());
            return Err(CallFailure::Refused(refusal));
        }
        let mut response = HttpResponse::new(answer.body);
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// What the crate's error comes down to. Its texts and the body it keeps may hold tokens: they end
/// here.
impl From<RequestTokenError<CallFailure, BasicErrorResponse>> for CallFailure {
    fn from(error: RequestTokenError<CallFailure, BasicErrorResponse>) -> Self {
        match error {
            RequestTokenError::Request(failure) => failure,
            RequestTokenError::ServerResponse(_)
            | RequestTokenError::Parse(..)
            | RequestTokenError::Other(_) => Self::Failed(unreadable()),
        }
    }
}

impl From<Injected> for CallFailure {
    fn from(injected: Injected) -> Self {
        Self::Failed(injected.into())
    }
}

impl From<CallFailure> for SyncFailure {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Refused(refusal) => refusal.into_failure(),
            CallFailure::Failed(failure) => failure,
        }
    }
}
