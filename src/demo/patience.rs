//! Trying again: a daemon may restart and a simulator may be busy while a demo goes on.

use std::time::Duration;

use crate::domain::{Clock, SyncFailure};
use crate::provider::http::{self, Answer};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long a server may be away before the demo gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Why a call came to nothing. Holds no body: bodies hold client details.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error("{what}: no answer")]
    NoAnswer { what: String },
    #[error("{what}: answered with status {status}{code}")]
    Refused {
        what: String,
        status: u16,
        /// In brackets, where the answer was a problem of our API.
        code: String,
    },
    #[error("{what}: the answer is not as documented")]
    Strange { what: String },
}

impl CallError {
    /// Whether the same call may go well in a moment. All calls of the demo may be repeated.
    fn passes(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Strange { .. } => false,
        }
    }
}

/// Sends one request and reads its answer, whatever its status.
pub(super) async fn send(
    what: &str,
    request: reqwest::RequestBuilder,
) -> Result<Answer, CallError> {
    http::send(request)
        .await
        .map_err(|_: SyncFailure| CallError::NoAnswer {
            what: what.to_owned(),
        })
}

/// The answer, if its status is a good one.
pub(super) fn accepted(what: &str, answer: Answer) -> Result<Answer, CallError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let code = problem
        .as_ref()
        .and_then(|problem| problem["code"].as_str());
    Err(CallError::Refused {
        what: what.to_owned(),
        status: answer.status.as_u16(),
        code: code.map(|code| format!(" ({code})")).unwrap_or_default(),
    })
}

/// Repeats `call` until it succeeds, fails for good, or has failed for as long as [`PATIENCE`].
pub(super) async fn patiently<T>(
    clock: &dyn Clock,
    mut call: impl AsyncFnMut() -> Result<T, CallError>,
) -> Result<T, CallError> {
    let mut wait = FIRST_WAIT;
    let began = clock.monotonic();
    loop {
        match call().await {
            Err(error) if error.passes() && clock.monotonic() - began < PATIENCE => {
                clock.sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            ended => return ended,
        }
    }
}
