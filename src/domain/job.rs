//! One row of the sync queue: this (connection, appointment) may differ from the calendar.

use poem_openapi::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// What a job was queued for, as shown to people. What is *done* is decided afresh when it runs.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Enum,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Operation {
    Create,
    Update,
    Delete,
    FullSync,
}

impl Operation {
    /// As stored, and as logs say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::FullSync => "full_sync",
        }
    }
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Enum,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits for its due time.
    Pending,
    /// Claimed by the worker of its connection.
    Processing,
    Completed,
    /// Given up after the last attempt or a permanent refusal; kept and replayable.
    Failed,
    /// No longer wanted, for instance because its connection was disconnected.
    Cancelled,
}

/// Why a job runs, where that changes what it may do. Flags of coalesced jobs add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Apply everything, the auto-create and auto-update switches aside.
    pub forced: bool,
    /// Look at the calendar even if nothing changed on our side, and put right what differs.
    pub verify: bool,
}

impl Flags {
    /// Something changed on our side.
    pub const CHANGE: Self = Self {
        forced: false,
        verify: false,
    };
    /// "Sync now".
    pub const MANUAL: Self = Self {
        forced: true,
        verify: true,
    };
    /// The calendar was out of reach for a while.
    pub const CATCH_UP: Self = Self {
        forced: false,
        verify: true,
    };

    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            forced: self.forced || other.forced,
            verify: self.verify || other.verify,
        }
    }
}

/// In which order a connection's due jobs are taken: higher first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Many at once, and nobody waits for one of them: a first connect, a catch-up.
    Bulk,
    /// A change the platform reported.
    Change,
    /// A person pressed a button.
    Manual,
}

impl Priority {
    pub const HIGHEST_FIRST: [Self; 3] = [Self::Manual, Self::Change, Self::Bulk];

    /// As stored and shown.
    pub fn as_i32(self) -> i32 {
        match self {
            Self::Bulk => 0,
            Self::Change => 10,
            Self::Manual => 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum, Iterable};

    use super::*;

    #[test]
    fn logs_call_an_operation_what_the_database_calls_it() {
        for operation in Operation::iter() {
            assert_eq!(operation.as_str(), operation.to_value());
        }
    }
}
