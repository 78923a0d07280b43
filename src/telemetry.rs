//! Log lines: their form and what is let through.
//!
//! Owns the one subscriber of the process. They go to standard error, so that what a command
//! prints (a token, a document) stays alone on standard output.
//!
//! Rules for whoever writes a line:
//!
//! - One line for each thing that matters to an operator, once, where it is known to be true: after the
//!   commit, not before. A message is a constant; what varies is in fields.
//! - `error`: somebody must act. `warn`: degraded, or given up. `info`: somebody asked for something, and
//!   what became of it. `debug`: everything else. What runs by itself again and again (polls, renewals,
//!   probes, scrapes) says nothing at `info` while it finds nothing.
//! - What is tried again and again tells of its trouble when it begins, or at most every few minutes.
//! - Fields have the names of the tables: `connection.id`, `appointment.id`, `job.id`, `provider`.
//!   `request_id` is that of the request, and goes with its jobs through the queue: one search finds the
//!   request and what became of it in each calendar. So does `trace_id` where traces are collected.
//! - No token, secret, e-mail address, title or text of an appointment; no query, no body. Errors of
//!   others are told in our own words where theirs may hold any of that.

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
                collector: None,
            });
        }
    }
}
