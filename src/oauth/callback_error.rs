//! The codes with which a failed sign-in sends the browser back.

use std::fmt;

/// Why a sign-in did not end in a connection, in the words of the return address's `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallbackError {
    /// The coach, or the account's organisation, said no.
    AccessDenied,
    /// The provider's redirect carried neither a code nor an error, or no state.
    MissingParameters,
    /// No sign-in of this browser has that state, or it was used before.
    InvalidState,
    /// The sign-in took too long.
    ExpiredState,
    /// Allowed, but not all that is needed.
    InsufficientScope,
    /// The code could not be turned into lasting access; signing in again may help.
    ExchangeFailed,
    /// Signed in, but the account's calendar did not answer.
    CalendarAccessFailed,
    /// The provider failed, or refuses us as an application.
    ProviderError,
}

impl CallbackError {
    pub const ALL: [Self; 8] = [
        Self::AccessDenied,
        Self::MissingParameters,
        Self::InvalidState,
        Self::ExpiredState,
        Self::InsufficientScope,
        Self::ExchangeFailed,
        Self::CalendarAccessFailed,
        Self::ProviderError,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::MissingParameters => "missing_parameters",
            Self::InvalidState => "invalid_state",
            Self::ExpiredState => "expired_state",
            Self::InsufficientScope => "insufficient_scope",
            Self::ExchangeFailed => "exchange_failed",
            Self::CalendarAccessFailed => "calendar_access_failed",
            Self::ProviderError => "provider_error",
        }
    }

    /// What the `error` of the provider's own redirect to us means (RFC 6749, section 4.1.2.1, and
    /// what Google and Microsoft add to it).
    pub fn from_provider(error: &str) -> Self {
        match error {
            "access_denied" | "admin_policy_enforced" => Self::AccessDenied,
            "consent_required" => Self::InsufficientScope,
            _ => Self::ProviderError,
        }
    }
}

impl fmt::Display for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_people_is_told_from_a_failure_of_machines() {
        for (error, expected) in [
            ("access_denied", CallbackError::AccessDenied),
            ("admin_policy_enforced", CallbackError::AccessDenied),
            ("consent_required", CallbackError::InsufficientScope),
            ("temporarily_unavailable", CallbackError::ProviderError),
            ("org_internal", CallbackError::ProviderError),
            ("", CallbackError::ProviderError),
        ] {
            assert_eq!(CallbackError::from_provider(error), expected, "{error}");
        }
    }
}
