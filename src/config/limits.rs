//! What the providers allow us: quota units per window, and calls at once.

use std::num::NonZeroU32;
use std::time::Duration;

use super::duration;
use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static GOOGLE_LIMIT_PER_USER: Setting = Setting {
    name: "GOOGLE_LIMIT_PER_USER",
    default: Preset::Value("600/1m"),
    meaning: "quota units per window and Google account: every batch part counts, a PATCH counts three",
    allowed: QUOTA,
    secret: false,
};

pub(super) static GOOGLE_LIMIT_PER_PROJECT: Setting = Setting {
    name: "GOOGLE_LIMIT_PER_PROJECT",
    default: Preset::Value("10000/1m"),
    meaning: "quota units per window of the whole project at Google",
    allowed: QUOTA,
    secret: false,
};

pub(super) static MICROSOFT_LIMIT_PER_MAILBOX: Setting = Setting {
    name: "MICROSOFT_LIMIT_PER_MAILBOX",
    default: Preset::Value("10000/10m"),
    meaning: "calls per window and mailbox: every batch part counts",
    allowed: QUOTA,
    secret: false,
};

pub(super) static MICROSOFT_CONCURRENCY_PER_MAILBOX: Setting = Setting {
    name: "MICROSOFT_CONCURRENCY_PER_MAILBOX",
    default: Preset::Value("4"),
    meaning: "calls under way at once per mailbox",
    allowed: Allowed::Integer { min: 1, max: 20 },
    secret: false,
};

/// A Google PATCH counts three: with fewer units it could never leave, and the limiters hold as many.
const QUOTA: Allowed = Allowed::Quota { min_units: 3 };

/// So many units in every window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub units: NonZeroU32,
    pub per: Duration,
}

impl Quota {
    pub(super) const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
    pub(super) const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3600);

    /// Reads `600/1m`.
    pub fn parse(text: &str) -> Option<Self> {
        let (units, per) = text.split_once('/')?;
        let per = duration::parse(per)?;
        let in_bounds = (Self::SHORTEST_WINDOW..=Self::LONGEST_WINDOW).contains(&per);
        let units = units.parse().ok()?;
        in_bounds.then_some(Self { units, per })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoogleLimits {
    pub per_user: Quota,
    pub per_project: Quota,
}

impl Section for GoogleLimits {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let per_user = reader.quota(&GOOGLE_LIMIT_PER_USER);
        let per_project = reader.quota(&GOOGLE_LIMIT_PER_PROJECT);
        Some(Self {
            per_user: per_user?,
            per_project: per_project?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicrosoftLimits {
    pub per_mailbox: Quota,
    pub concurrency_per_mailbox: NonZeroU32,
}

impl Section for MicrosoftLimits {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let per_mailbox = reader.quota(&MICROSOFT_LIMIT_PER_MAILBOX);
        let concurrency = reader.integer(&MICROSOFT_CONCURRENCY_PER_MAILBOX);
        Some(Self {
            per_mailbox: per_mailbox?,
            concurrency_per_mailbox: NonZeroU32::new(concurrency?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_units_per_window() {
        let quota = Quota::parse("600/1m").expect("a quota");
        assert_eq!(
            (quota.units.get(), quota.per),
            (600, Duration::from_secs(60))
        );
        for text in [
            "600", "0/1m", "600/", "/1m", "600/0s", "600/25h", "600/10ms", "-1/1m", "1/2/3",
        ] {
            assert_eq!(Quota::parse(text), None, "{text}");
        }
    }
}
