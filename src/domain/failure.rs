//! One taxonomy of failure decides everything that happens next.
//!
//! A provider's answer is classified once, at the HTTP boundary, by status and documented code and
//! never by message text. What a class *leads to* is decided in `plan::retry`. No variant carries
//! anything a provider sent verbatim: details are our own words, fit for logs and for the coach.

use std::borrow::Cow;

use super::Timestamp;

/// How far a rate limit, or a refusal of our set-up, reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScope {
    /// This account at the provider.
    Connection,
    /// Every account of this provider, through our project or app.
    Provider,
    /// This node's part of what the provider allows our project or app, for now: whoever meets it waits,
    /// and others find out for themselves.
    Share,
}

/// Why a coach must sign in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReauthReason {
    /// The grant is gone: revoked, expired or replaced.
    GrantRefused,
    /// The grant no longer covers calendars.
    ScopeMissing,
    /// The account's administrator or a policy asks for another sign-in.
    PolicyRequires,
}

impl ReauthReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GrantRefused => {
                "The calendar account no longer accepts our access. Sign in again."
            }
            Self::ScopeMissing => {
                "The granted access does not include calendars. Sign in again and allow them."
            }
            Self::PolicyRequires => {
                "The account's organisation asks for a new sign-in. Sign in again."
            }
        }
    }

    /// A stable word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::GrantRefused => "grant_refused",
            Self::ScopeMissing => "scope_missing",
            Self::PolicyRequires => "policy_requires",
        }
    }
}

/// What is no longer as we knew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The event is gone for good under this key: the next event takes the next generation.
    Gone,
    /// The event changed while we wrote, more often than one round bears: read and plan again.
    Changed,
}

/// A stable word for what went wrong, shown in `error_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCode {
    Network,
    Timeout,
    ServerError,
    BadAnswer,
    Conflict,
    RateLimited,
    ReauthRequired,
    EventChanged,
    InvalidEvent,
    EventTooLarge,
    CalendarNotFound,
    CalendarReadOnly,
    NoCalendarService,
    MailboxFull,
    ClientRejected,
    RequestRejected,
    ApiDisabled,
    Internal,
}

impl FailureCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
            Self::BadAnswer => "bad_answer",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::ReauthRequired => "reauth_required",
            Self::EventChanged => "event_changed",
            Self::InvalidEvent => "invalid_event",
            Self::EventTooLarge => "event_too_large",
            Self::CalendarNotFound => "calendar_not_found",
            Self::CalendarReadOnly => "calendar_read_only",
            Self::NoCalendarService => "no_calendar_service",
            Self::MailboxFull => "mailbox_full",
            Self::ClientRejected => "client_rejected",
            Self::RequestRejected => "request_rejected",
            Self::ApiDisabled => "api_disabled",
            Self::Internal => "internal",
        }
    }

    /// Whether a failure that passes says that the provider as such is in trouble: it cannot be
    /// reached, does not answer, or not sensibly. What it says about one event or calendar is no
    /// outage.
    pub fn is_outage(self) -> bool {
        match self {
            Self::Network | Self::Timeout | Self::ServerError | Self::BadAnswer => true,
            Self::Conflict
            | Self::RateLimited
            | Self::ReauthRequired
            | Self::EventChanged
            | Self::InvalidEvent
            | Self::EventTooLarge
            | Self::CalendarNotFound
            | Self::CalendarReadOnly
            | Self::NoCalendarService
            | Self::MailboxFull
            | Self::ClientRejected
            | Self::RequestRejected
            | Self::ApiDisabled
            | Self::Internal => false,
        }
    }
}

/// Why a call to a provider did not do what was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncFailure {
    /// May work later; the outcome of this attempt may be unknown.
    #[error("{detail}")]
    Retryable {
        code: FailureCode,
        detail: Cow<'static, str>,
    },
    /// The provider, or our own limiter on its behalf, asks us to wait. Costs no attempt.
    #[error("the provider's limit is reached")]
    RateLimited {
        /// Earliest next call, UTC; `None` when the provider did not say.
        until: Option<Timestamp>,
        scope: RateScope,
    },
    /// The coach must sign in again. Costs no attempt; the work is kept.
    #[error("{}", .0.as_str())]
    NeedsReauth(ReauthReason),
    /// The event is not as we knew it: plan again.
    #[error("the event is no longer as it was")]
    StaleTarget(Stale),
    /// This job can never succeed as it is.
    #[error("{detail}")]
    Permanent {
        code: FailureCode,
        detail: Cow<'static, str>,
    },
    /// Our own set-up at the provider is wrong: nobody's connection is to blame.
    #[error("{detail}")]
    Operator {
        code: FailureCode,
        detail: Cow<'static, str>,
        /// `Connection` where the account's organisation may have decided it for itself alone.
        scope: RateScope,
    },
}

impl SyncFailure {
    pub fn retryable(code: FailureCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Retryable {
            code,
            detail: detail.into(),
        }
    }

    pub fn permanent(code: FailureCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Permanent {
            code,
            detail: detail.into(),
        }
    }

    pub fn operator(code: FailureCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Operator {
            code,
            detail: detail.into(),
            scope: RateScope::Provider,
        }
    }

    pub fn code(&self) -> FailureCode {
        match self {
            Self::Retryable { code, .. }
            | Self::Permanent { code, .. }
            | Self::Operator { code, .. } => *code,
            Self::RateLimited { .. } => FailureCode::RateLimited,
            Self::NeedsReauth(_) => FailureCode::ReauthRequired,
            Self::StaleTarget(_) => FailureCode::EventChanged,
        }
    }
}
