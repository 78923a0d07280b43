//! Log lines: their form and what is let through.
//!
//! Owns the one subscriber of the process. They go to standard error, so that what a command
//! prints (a token, a document) stays alone on standard output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Starts logging. Where a subscriber is in place already, as for a second daemon in one process,
/// that one stays.
pub fn init(config: &TelemetryConfig) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.filter))
        .with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before; its settings stay");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_twice_is_harmless() {
        for format in [LogFormat::Json, LogFormat::Text] {
            init(&TelemetryConfig {
                format,
                filter: "error".to_owned(),
            });
        }
    }
}
