//! Where webhooks may lead, and how long what was told is kept.

use std::time::Duration;

use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static WEBHOOK_ALLOW_PRIVATE_ADDRESSES: Setting = Setting {
    name: "WEBHOOK_ALLOW_PRIVATE_ADDRESSES",
    default: Preset::Value("false"),
    meaning: "let webhooks lead to private addresses and use plain http; only where admins may reach your network",
    allowed: Allowed::Words("true or false"),
    secret: false,
};

pub(super) static WEBHOOK_RETENTION: Setting = Setting {
    name: "WEBHOOK_RETENTION",
    default: Preset::Value("720h"),
    meaning: "how long deliveries of webhooks that ended are kept and can be replayed: 30 days",
    allowed: Allowed::Duration {
        min: Duration::from_secs(24 * 3600),
        max: Duration::from_secs(365 * 24 * 3600),
    },
    secret: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Also plain http.
    pub allow_private_addresses: bool,
    pub retention: Duration,
}

impl Section for WebhookConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let allow_private_addresses =
            reader.parse(&WEBHOOK_ALLOW_PRIVATE_ADDRESSES, |text| text.parse().ok());
        let retention = reader.duration(&WEBHOOK_RETENTION);
        Some(Self {
            allow_private_addresses: allow_private_addresses?,
            retention: retention?,
        })
    }
}
