//! The labels of metrics: words from small fixed sets. Nothing of a coach, client or request is one.

use prometheus_client::encoding::EncodeLabelSet;

use crate::domain::{
    ConnectionStatus, DisabledReason, JobStatus, ProviderKind, SyncFailure, Timestamp, WaitReason,
};
use crate::store::{DeliveryEnd, JobEnd};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByProvider {
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByOutcome {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByCall {
    provider: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByStatus {
    provider: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByReason {
    provider: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByActor {
    pub(super) actor: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByState {
    pub(super) state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByPart {
    /// Of readiness: named by this daemon, and by the providers there are.
    pub(super) part: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByDirection {
    pub(super) direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByRoute {
    pub(super) method: &'static str,
    /// The template, such as `/health/ready` or `/queue/{id}/retry`; never the path asked for.
    pub(super) route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByAnswer {
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) status: &'static str,
}

/// Of what there is one, or none while it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Whole {}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByDelivery {
    outcome: &'static str,
}

/// One of each kind.
pub(super) const DELIVERY_ENDS: [DeliveryEnd; 4] = [
    DeliveryEnd::Delivered,
    DeliveryEnd::Again(Timestamp::UNIX_EPOCH),
    DeliveryEnd::GivenUp,
    DeliveryEnd::Disabled(DisabledReason::Failing),
];

pub(super) const COMPLETED: &str = "completed";
pub(super) const FAILED: &str = "failed";
pub(super) const JOB_OUTCOMES: [&str; 4] = [COMPLETED, "retried", "put_off", FAILED];
pub(super) const REFRESH_OUTCOMES: [&str; 3] = ["ok", "refused", "failed"];
pub(super) const OPERATIONS: [&str; 4] = ["create", "update", "verify", "delete"];
pub(super) const OK: &str = "ok";
pub(super) const STATUSES: [ConnectionStatus; 4] = [
    ConnectionStatus::Active,
    ConnectionStatus::NeedsReauth,
    ConnectionStatus::Quarantined,
    ConnectionStatus::Disconnected,
];
pub(super) const WAITS: [WaitReason; 4] = [
    WaitReason::Limit,
    WaitReason::Outage,
    WaitReason::SetUp,
    WaitReason::NotConfigured,
];
/// Whatever is restarted.
pub(super) const ACTORS: [&str; 6] = [
    "queue_poller",
    "connections",
    "housekeeper",
    "webhook_deliverer",
    "connection_supervisor",
    "connection_worker",
];

pub(super) fn of(provider: ProviderKind) -> ByProvider {
    ByProvider {
        provider: provider.as_str(),
    }
}

pub(super) fn outcome(provider: ProviderKind, outcome: &'static str) -> ByOutcome {
    ByOutcome {
        provider: provider.as_str(),
        outcome,
    }
}

pub(super) fn call(
    provider: ProviderKind,
    operation: &'static str,
    outcome: &'static str,
) -> ByCall {
    ByCall {
        provider: provider.as_str(),
        operation,
        outcome,
    }
}

pub(super) fn reason(provider: ProviderKind, reason: &'static str) -> ByReason {
    ByReason {
        provider: provider.as_str(),
        reason,
    }
}

pub(super) fn connections(provider: ProviderKind, status: ConnectionStatus) -> ByStatus {
    ByStatus {
        provider: provider.as_str(),
        status: match status {
            ConnectionStatus::Active => "active",
            ConnectionStatus::NeedsReauth => "needs_reauth",
            ConnectionStatus::Quarantined => "quarantined",
            ConnectionStatus::Disconnected => "disconnected",
        },
    }
}

/// `None` for states that are no longer open.
pub(super) fn jobs(provider: ProviderKind, status: JobStatus) -> Option<ByStatus> {
    let status = match status {
        JobStatus::Pending => "pending",
        JobStatus::Processing => "processing",
        JobStatus::Failed => "failed",
        JobStatus::Completed | JobStatus::Cancelled => return None,
    };
    Some(ByStatus {
        provider: provider.as_str(),
        status,
    })
}

pub(super) fn job_outcome(end: &JobEnd) -> &'static str {
    match end {
        JobEnd::Completed => COMPLETED,
        JobEnd::Again { counted: true, .. } => "retried",
        JobEnd::Again { counted: false, .. } => "put_off",
        JobEnd::Failed { .. } => FAILED,
    }
}

pub(super) fn delivery(end: DeliveryEnd) -> ByDelivery {
    ByDelivery {
        outcome: match end {
            DeliveryEnd::Delivered => "delivered",
            DeliveryEnd::Again(_) => "retried",
            DeliveryEnd::GivenUp => "given_up",
            DeliveryEnd::Disabled(_) => "webhook_disabled",
        },
    }
}

pub(super) fn refresh_outcome(failure: Option<&SyncFailure>) -> &'static str {
    match failure {
        None => OK,
        Some(SyncFailure::NeedsReauth(_)) => "refused",
        Some(
            SyncFailure::Retryable { .. }
            | SyncFailure::RateLimited { .. }
            | SyncFailure::StaleTarget(_)
            | SyncFailure::Operator { .. }
            | SyncFailure::Permanent { .. },
        ) => "failed",
    }
}

pub(super) fn wait(why: WaitReason) -> &'static str {
    match why {
        WaitReason::Limit => "limit",
        WaitReason::Outage => "outage",
        WaitReason::SetUp => "set_up",
        WaitReason::NotConfigured => "not_configured",
    }
}

/// Clients may send any word as a method.
pub(super) fn method(method: &str) -> &'static str {
    ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

pub(super) fn status_class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
