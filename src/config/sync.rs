//! How eagerly work is looked for, and how failed work is tried again.

use std::time::Duration;

use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) static SYNC_POLL_INTERVAL: Setting = Setting {
    name: "SYNC_POLL_INTERVAL",
    default: Preset::Value("2m"),
    meaning: "safety-net poll of the queue; work is normally started by a wake-up, not by this",
    allowed: Allowed::Duration {
        min: Duration::from_millis(100),
        max: HOUR,
    },
    secret: false,
};

pub(super) static SYNC_MAX_ATTEMPTS: Setting = Setting {
    name: "SYNC_MAX_ATTEMPTS",
    default: Preset::Value("80"),
    meaning: "failed attempts before a job is `failed`: about 3 days with the default backoff",
    allowed: Allowed::Integer {
        min: 1,
        max: 10_000,
    },
    secret: false,
};

pub(super) static SYNC_RETRY_BASE: Setting = Setting {
    name: "SYNC_RETRY_BASE",
    default: Preset::Value("5s"),
    meaning: "backoff after the first failure; doubles, with jitter",
    allowed: Allowed::Duration {
        min: Duration::from_millis(10),
        max: HOUR,
    },
    secret: false,
};

pub(super) static SYNC_RETRY_CAP: Setting = Setting {
    name: "SYNC_RETRY_CAP",
    default: Preset::Value("1h"),
    meaning: "longest backoff; not below SYNC_RETRY_BASE",
    allowed: Allowed::Duration {
        min: Duration::from_millis(10),
        max: Duration::from_secs(24 * 3600),
    },
    secret: false,
};

pub(super) static FRESHNESS_OBJECTIVE: Setting = Setting {
    name: "FRESHNESS_OBJECTIVE",
    default: Preset::Value("60s"),
    meaning: "within what time a change should be in its calendar; only measured, see `/metrics`",
    allowed: Allowed::Duration {
        min: Duration::from_millis(100),
        max: Duration::from_secs(24 * 3600),
    },
    secret: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    pub poll_interval: Duration,
    pub max_attempts: u32,
    pub retry_base: Duration,
    /// Never below `retry_base`.
    pub retry_cap: Duration,
    pub freshness_objective: Duration,
}

impl Section for SyncConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let poll_interval = reader.duration(&SYNC_POLL_INTERVAL);
        let max_attempts = reader.integer(&SYNC_MAX_ATTEMPTS);
        let retry_base = reader.duration(&SYNC_RETRY_BASE);
        let retry_cap = reader.duration(&SYNC_RETRY_CAP);
        let freshness_objective = reader.duration(&FRESHNESS_OBJECTIVE);
        let config = Self {
            poll_interval: poll_interval?,
            max_attempts: max_attempts?,
            retry_base: retry_base?,
            retry_cap: retry_cap?,
            freshness_objective: freshness_objective?,
        };
        if config.retry_cap < config.retry_base {
            reader.refuse(&SYNC_RETRY_CAP, "must not be below SYNC_RETRY_BASE");
            return None;
        }
        Some(config)
    }
}
