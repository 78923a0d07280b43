//! What is logged, and in which form.

use tracing_subscriber::EnvFilter;

use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static LOG_FORMAT: Setting = Setting {
    name: "LOG_FORMAT",
    default: Preset::Value("text"),
    meaning: "json for machines",
    allowed: Allowed::Words("text or json"),
    secret: false,
};

pub(super) static RUST_LOG: Setting = Setting {
    name: "RUST_LOG",
    default: Preset::Value("info"),
    meaning: "what is logged",
    allowed: Allowed::Words(
        "a level (error, warn, info, debug, trace), or directives such as info,calendar_integration=debug",
    ),
    secret: false,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    pub format: LogFormat,
    /// Directives that are known to parse.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Section for TelemetryConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let format = reader.parse(&LOG_FORMAT, |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let filter = reader.parse(&RUST_LOG, |text| {
            EnvFilter::try_new(text).ok().map(|_| text.to_owned())
        });
        Some(Self {
            format: format?,
            filter: filter?,
        })
    }
}
