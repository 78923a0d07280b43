//! The settings: what may be set, where values come from, and what they become.
//!
//! Owns every environment variable, flag of `serve` and line of `.env`. A setting is described once
//! (see [`Setting`]), beside the section that reads it; the loader, the help text and the table in
//! the README follow from that. Each command loads the sections it needs ([`Section::load`]), all
//! problems are reported at once, and no value ever appears in a report. Leaves to others what the
//! values are used for.
//!
//! To add a setting: a `static` in its section, its field there, its line in [`GROUPS`].

mod address;
mod database;
pub(crate) mod duration;
mod google;
mod http;
mod limits;
mod microsoft;
mod reader;
mod requests;
mod security;
mod setting;
mod source;
mod sync;
mod table;
mod telemetry;
mod webhooks;

use std::time::Duration;

pub use database::{DatabaseConfig, DatabaseKind};
pub use google::GoogleConfig;
pub use http::HttpConfig;
pub use limits::{GoogleLimits, MicrosoftLimits, Quota};
pub use microsoft::MicrosoftConfig;
pub use reader::{Invalid, Problem, Reader, Section};
pub use requests::RequestConfig;
pub use security::{AuthConfig, SigningConfig};
pub use setting::{Allowed, Preset, Setting};
pub use source::Sources;
pub use sync::SyncConfig;
pub use table::{GROUPS, Group, settings, settings_table_markdown};
pub use telemetry::{LogFormat, TelemetryConfig};
pub use webhooks::WebhookConfig;

use crate::security::KeyRing;

static LEASE_TTL: Setting = Setting {
    name: "LEASE_TTL",
    default: Preset::Value("15s"),
    meaning: "how long a silent node keeps a connection",
    allowed: Allowed::Duration {
        min: Duration::from_millis(500),
        max: Duration::from_secs(300),
    },
    secret: false,
};

static AUDIT_RETENTION: Setting = Setting {
    name: "AUDIT_RETENTION",
    default: Preset::Value("8760h"),
    meaning: "how long the audit trail is kept: 365 days",
    allowed: Allowed::Duration {
        min: Duration::from_secs(24 * 3600),
        max: Duration::from_secs(10 * 365 * 24 * 3600),
    },
    secret: false,
};

static SHUTDOWN_DEADLINE: Setting = Setting {
    name: "SHUTDOWN_DEADLINE",
    default: Preset::Value("20s"),
    meaning: "how long draining may take after a signal",
    allowed: Allowed::Duration {
        min: Duration::from_millis(100),
        max: Duration::from_secs(600),
    },
    secret: false,
};

/// Everything `serve` needs.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: DatabaseConfig,
    pub http: HttpConfig,
    /// `None`: Google is off.
    pub google: Option<GoogleConfig>,
    /// `None`: Outlook is off.
    pub microsoft: Option<MicrosoftConfig>,
    pub keys: KeyRing,
    pub auth: AuthConfig,
    pub requests: RequestConfig,
    pub sync: SyncConfig,
    pub webhooks: WebhookConfig,
    pub lease_ttl: Duration,
    pub audit_retention: Duration,
    pub shutdown_deadline: Duration,
    pub telemetry: TelemetryConfig,
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let database = DatabaseConfig::read(reader);
        let http = HttpConfig::read(reader);
        let google = Option::<GoogleConfig>::read(reader);
        let microsoft = Option::<MicrosoftConfig>::read(reader);
        let keys = KeyRing::read(reader);
        let auth = AuthConfig::read(reader);
        let requests = RequestConfig::read(reader);
        let sync = SyncConfig::read(reader);
        let webhooks = WebhookConfig::read(reader);
        let lease_ttl = reader.duration(&LEASE_TTL);
        let audit_retention = reader.duration(&AUDIT_RETENTION);
        let shutdown_deadline = reader.duration(&SHUTDOWN_DEADLINE);
        let telemetry = TelemetryConfig::read(reader);
        Some(Self {
            database: database?,
            http: http?,
            google: google?,
            microsoft: microsoft?,
            keys: keys?,
            auth: auth?,
            requests: requests?,
            sync: sync?,
            webhooks: webhooks?,
            lease_ttl: lease_ttl?,
            audit_retention: audit_retention?,
            shutdown_deadline: shutdown_deadline?,
            telemetry: telemetry?,
        })
    }
}

#[cfg(test)]
mod tests;
