//! What is logged, in which form, and where traces go.

use tracing_subscriber::EnvFilter;
use url::Url;

use super::address;
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

/// The name is that of the OpenTelemetry specification; what else it defines (headers, sampler, resource
/// attributes) is read from the environment by the SDK.
pub(super) static OTEL_EXPORTER_OTLP_ENDPOINT: Setting = Setting {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: Preset::Unset("no traces"),
    meaning: "OTLP collector (http/protobuf) that traces are sent to, below /v1/traces",
    allowed: Allowed::Words(address::WEB_BASE),
    secret: false,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    pub format: LogFormat,
    /// Directives that are known to parse.
    pub filter: String,
    /// `None`: no traces are made.
    pub collector: Option<Url>,
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
        let collector = reader.parse(&OTEL_EXPORTER_OTLP_ENDPOINT, address::web_base);
        if reader.refused(&OTEL_EXPORTER_OTLP_ENDPOINT) {
            return None;
        }
        Some(Self {
            format: format?,
            filter: filter?,
            collector,
        })
    }
}
