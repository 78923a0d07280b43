//! Why a code did not become a connection.

use super::CallbackError;
use super::refusal::Refusal;
use super::transport::CallFailure;
use crate::domain::SyncFailure;

/// A code exchange that did not give lasting, sufficient access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFailure {
    /// The coach or the organisation said no at the last moment.
    #[error("access was denied")]
    Denied,
    /// Reused, expired or foreign code, or another browser's verifier.
    #[error("the sign-in code was not accepted")]
    CodeRefused,
    /// Policy wants another round of signing in, for instance with a second factor.
    #[error("the account's organisation asks for another sign-in")]
    SignInRequired,
    /// `missing` is empty where the provider refused without saying what is missing.
    #[error("the granted access is not enough")]
    InsufficientScope { missing: Vec<&'static str> },
    /// Access would end within the hour, with nothing to renew it.
    #[error("the provider granted no lasting access")]
    NoRefreshToken,
    /// The provider is unavailable, or does not accept us as an application.
    #[error(transparent)]
    Provider(SyncFailure),
}

impl ExchangeFailure {
    /// The code the browser is sent back with.
    pub fn callback_error(&self) -> CallbackError {
        match self {
            Self::Denied => CallbackError::AccessDenied,
            Self::InsufficientScope { .. } => CallbackError::InsufficientScope,
            Self::CodeRefused | Self::SignInRequired | Self::NoRefreshToken => {
                CallbackError::ExchangeFailed
            }
            Self::Provider(_) => CallbackError::ProviderError,
        }
    }
}

impl From<Refusal> for ExchangeFailure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::GrantRefused => Self::CodeRefused,
            Refusal::SignInRequired => Self::SignInRequired,
            Refusal::ConsentMissing => Self::InsufficientScope {
                missing: Vec::new(),
            },
            Refusal::Denied => Self::Denied,
            Refusal::ClientRejected
            | Refusal::ClientUnauthorized
            | Refusal::RequestRejected
            | Refusal::Busy { .. }
            | Refusal::Broken
            | Refusal::Unreadable => Self::Provider(refusal.into_failure()),
        }
    }
}

impl From<CallFailure> for ExchangeFailure {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Refused(refusal) => refusal.into(),
            CallFailure::Failed(failure) => Self::Provider(failure),
        }
    }
}
