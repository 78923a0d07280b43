//! The stable words for what can go wrong with a request.

use std::time::Duration;

use poem::http::StatusCode;
use poem_openapi::Enum;

/// What is wrong, for programs. Words are never renamed; the sentences beside them may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum)]
#[oai(rename_all = "snake_case", rename = "ProblemCode")]
pub(in crate::api) enum Code {
    InvalidParameter,
    InvalidBody,
    InvalidCursor,
    InvalidReturnTo,
    Unauthorized,
    Forbidden,
    NotFound,
    ConnectionNotFound,
    AppointmentNotFound,
    JobNotFound,
    WebhookNotFound,
    DeliveryNotFound,
    MethodNotAllowed,
    SyncDisabled,
    NeedsReauth,
    JobNotFailed,
    WebhookDisabled,
    DeliveryPending,
    TooManyWebhooks,
    WebhookExists,
    IdempotencyKeyInUse,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    InvalidAppointment,
    InvalidSettings,
    InvalidWebhook,
    TooManyRequests,
    TooManyStreams,
    IdempotencyKeyReused,
    Internal,
    ProviderFailed,
    ProviderNotConfigured,
    ProviderUnavailable,
    ProviderRateLimited,
    ConnectionBusy,
    StreamsFull,
    DatabaseUnavailable,
    AuthUnavailable,
    KeptAnswerUnreadable,
    Timeout,
}

impl Code {
    pub(in crate::api) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidParameter => "invalid_parameter",
            Self::InvalidBody => "invalid_body",
            Self::InvalidCursor => "invalid_cursor",
            Self::InvalidReturnTo => "invalid_return_to",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::ConnectionNotFound => "connection_not_found",
            Self::AppointmentNotFound => "appointment_not_found",
            Self::JobNotFound => "job_not_found",
            Self::WebhookNotFound => "webhook_not_found",
            Self::DeliveryNotFound => "delivery_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::SyncDisabled => "sync_disabled",
            Self::NeedsReauth => "needs_reauth",
            Self::JobNotFailed => "job_not_failed",
            Self::WebhookDisabled => "webhook_disabled",
            Self::DeliveryPending => "delivery_pending",
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::WebhookExists => "webhook_exists",
            Self::IdempotencyKeyInUse => "idempotency_key_in_use",
            Self::PreconditionFailed => "precondition_failed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidAppointment => "invalid_appointment",
            Self::InvalidSettings => "invalid_settings",
            Self::InvalidWebhook => "invalid_webhook",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyStreams => "too_many_streams",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::Internal => "internal",
            Self::ProviderFailed => "provider_failed",
            Self::ProviderNotConfigured => "provider_not_configured",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderRateLimited => "provider_rate_limited",
            Self::ConnectionBusy => "connection_busy",
            Self::StreamsFull => "streams_full",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::AuthUnavailable => "auth_unavailable",
            Self::KeptAnswerUnreadable => "kept_answer_unreadable",
            Self::Timeout => "timeout",
        }
    }

    pub(in crate::api) fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter
            | Self::InvalidBody
            | Self::InvalidCursor
            | Self::InvalidReturnTo => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound
            | Self::ConnectionNotFound
            | Self::AppointmentNotFound
            | Self::JobNotFound
            | Self::WebhookNotFound
            | Self::DeliveryNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::SyncDisabled
            | Self::NeedsReauth
            | Self::JobNotFailed
            | Self::WebhookDisabled
            | Self::DeliveryPending
            | Self::TooManyWebhooks
            | Self::WebhookExists
            | Self::IdempotencyKeyInUse => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidAppointment
            | Self::InvalidSettings
            | Self::InvalidWebhook
            | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests | Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ProviderFailed => StatusCode::BAD_GATEWAY,
            Self::ProviderNotConfigured
            | Self::ProviderUnavailable
            | Self::ProviderRateLimited
            | Self::ConnectionBusy
            | Self::StreamsFull
            | Self::DatabaseUnavailable
            | Self::AuthUnavailable
            | Self::KeptAnswerUnreadable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// For people who do not look further.
    pub(in crate::api) fn detail(self) -> &'static str {
        match self {
            Self::InvalidParameter => "A parameter does not have the documented form.",
            Self::InvalidBody => "The body does not have the documented form.",
            Self::InvalidCursor => "The cursor is none that this list gave out.",
            Self::InvalidReturnTo => "The return address is not allowed.",
            Self::Unauthorized => "A valid bearer token is required.",
            Self::Forbidden => "The token's role does not allow this.",
            Self::NotFound => "There is nothing at this address.",
            Self::ConnectionNotFound => "There is no such connection.",
            Self::AppointmentNotFound => "There is no such appointment.",
            Self::JobNotFound => "There is no such job.",
            Self::WebhookNotFound => "There is no such webhook.",
            Self::DeliveryNotFound => "There is no such delivery to this webhook.",
            Self::MethodNotAllowed => "This address does not know the method.",
            Self::SyncDisabled => "Sync is switched off for this connection.",
            Self::NeedsReauth => "The calendar account asks for a new sign-in.",
            Self::JobNotFailed => "Only a failed job can be tried again.",
            Self::WebhookDisabled => "The webhook is told nothing for now; enable it first.",
            Self::DeliveryPending => "The delivery is pending already.",
            Self::WebhookExists => "Another webhook has this address already.",
            Self::TooManyWebhooks => "There are as many webhooks as there may be.",
            Self::IdempotencyKeyInUse => {
                "A request with this Idempotency-Key is still being carried out."
            }
            Self::PreconditionFailed => {
                "It was changed since; read it again, and change what is there now."
            }
            Self::PayloadTooLarge => "The body is too large.",
            Self::UnsupportedMediaType => "The body must be sent as application/json.",
            Self::InvalidAppointment => "The appointment cannot be as reported.",
            Self::InvalidSettings => "The settings cannot be as asked.",
            Self::InvalidWebhook => "The webhook cannot be as asked.",
            Self::TooManyRequests => "Too many requests of this caller or address.",
            Self::TooManyStreams => "This caller has as many streams open as it may.",
            Self::IdempotencyKeyReused => {
                "This Idempotency-Key stands for a request with another path, query or body."
            }
            Self::Internal => "Something failed here; the request id finds it in the log.",
            Self::ProviderFailed => "The calendar service refused.",
            Self::ProviderNotConfigured => "This provider is not configured here.",
            Self::ProviderUnavailable => "The calendar service cannot be reached for now.",
            Self::ProviderRateLimited => "The calendar service asks us to wait.",
            Self::ConnectionBusy => "The connection is being worked on elsewhere for now.",
            Self::StreamsFull => "There is no room for another stream for now; poll meanwhile.",
            Self::DatabaseUnavailable => "The database is not available for now.",
            Self::AuthUnavailable => "Tokens cannot be checked for now.",
            Self::KeptAnswerUnreadable => {
                "A request with this Idempotency-Key was carried out, but its answer cannot be read here."
            }
            Self::Timeout => "The request took too long; it may have taken effect.",
        }
    }

    /// When to come back, unless something better is known. Every 429 and 503 says so, and a 409 that
    /// passes.
    pub(super) fn retry_after(self) -> Option<Duration> {
        match self {
            Self::DatabaseUnavailable | Self::TooManyRequests | Self::IdempotencyKeyInUse => {
                Some(Duration::from_secs(1))
            }
            Self::ConnectionBusy => Some(Duration::from_secs(2)),
            Self::AuthUnavailable | Self::TooManyStreams => Some(Duration::from_secs(5)),
            Self::ProviderUnavailable | Self::ProviderRateLimited | Self::StreamsFull => {
                Some(Duration::from_secs(10))
            }
            Self::ProviderNotConfigured | Self::KeptAnswerUnreadable => {
                Some(Duration::from_secs(300))
            }
            Self::InvalidParameter
            | Self::InvalidBody
            | Self::InvalidCursor
            | Self::InvalidReturnTo
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::ConnectionNotFound
            | Self::AppointmentNotFound
            | Self::JobNotFound
            | Self::WebhookNotFound
            | Self::DeliveryNotFound
            | Self::MethodNotAllowed
            | Self::SyncDisabled
            | Self::NeedsReauth
            | Self::JobNotFailed
            | Self::WebhookDisabled
            | Self::DeliveryPending
            | Self::TooManyWebhooks
            | Self::WebhookExists
            | Self::PreconditionFailed
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::InvalidAppointment
            | Self::InvalidSettings
            | Self::InvalidWebhook
            | Self::IdempotencyKeyReused
            | Self::Internal
            | Self::ProviderFailed
            | Self::Timeout => None,
        }
    }
}
