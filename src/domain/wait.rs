//! Why a connection stays away from its provider, and until when.

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::Timestamp;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum WaitReason {
    /// The provider's limit, or ours on its behalf. Never cut short.
    Limit,
    /// The provider does not answer as it should.
    Outage,
    /// The provider does not accept our set-up.
    SetUp,
    /// The operator switched the provider off.
    NotConfigured,
}

/// Nothing is asked of the provider before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub until: Timestamp,
    pub why: WaitReason,
}

impl Wait {
    /// Both waits at once. A limit stays one, however long something else lasts: the end of an
    /// outage must not end it.
    pub fn and(self, other: Self) -> Self {
        let later = if other.until > self.until {
            other
        } else {
            self
        };
        let limited = [self.why, other.why].contains(&WaitReason::Limit);
        Self {
            until: later.until,
            why: if limited {
                WaitReason::Limit
            } else {
                later.why
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn an_outage_that_lasts_longer_does_not_hide_a_limit() {
        let limit = Wait {
            until: DateTime::UNIX_EPOCH,
            why: WaitReason::Limit,
        };
        let outage = Wait {
            until: DateTime::UNIX_EPOCH + TimeDelta::minutes(1),
            why: WaitReason::Outage,
        };
        let both = Wait {
            why: WaitReason::Limit,
            ..outage
        };
        assert_eq!(limit.and(outage), both);
        assert_eq!(outage.and(limit), both);
    }
}
