//! `demo`: which of its performances, and with what.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use url::Url;

use super::signals::Signals;
use crate::config::{Section, Sources, TelemetryConfig};
use crate::demo::{self, Elsewhere, ReplayOptions};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Replay this file of changes (one JSON object a line) and compare the calendars
    #[arg(long, value_name = "FILE")]
    pub changes: Option<PathBuf>,
    /// Let the simulated providers fail on the way: limits, errors, lost answers
    #[arg(long, requires = "changes")]
    pub faults: bool,
    /// Repeat the faults of an earlier run: the seed it printed
    #[arg(long, value_name = "N", requires = "faults")]
    pub seed: Option<u64>,
    /// Replay against the daemon at this address instead of one in this process; it may be
    /// restarted meanwhile
    #[arg(long, value_name = "URL", requires_all = ["changes", "simulator", "jwt_secret_file"])]
    pub against: Option<Url>,
    /// The simulator that the daemon of --against works with
    #[arg(long, value_name = "URL", requires = "against")]
    pub simulator: Option<Url>,
    /// File holding the AUTH_JWT_SECRET of the daemon of --against
    #[arg(long, value_name = "FILE", requires = "against")]
    pub jwt_secret_file: Option<PathBuf>,
    /// Measure the time from an accepted change to the provider, over so many changes
    #[arg(long, value_name = "N", conflicts_with = "changes",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub latency: Option<u32>,
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    start_logging()?;
    let mut signals = Signals::listen().context("signals cannot be listened for")?;
    let stop = async move { signals.next().await };
    match (args.changes, args.latency) {
        (Some(changes), _) => {
            let elsewhere = match (args.against, args.simulator, args.jwt_secret_file) {
                (Some(daemon), Some(simulator), Some(file)) => Some(Elsewhere {
                    daemon,
                    simulator,
                    jwt_secret: read_secret(&file)?,
                }),
                _ => None,
            };
            let options = ReplayOptions {
                changes,
                faults: args.faults,
                seed: args.seed,
                elsewhere,
            };
            Box::pin(demo::replay(options, stop)).await
        }
        (None, Some(changes)) => {
            demo::measure_latency(changes, stop).await?;
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => {
            demo::look_around(stop).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Only what needs attention, so that what the demo prints stands alone; RUST_LOG shows more.
fn start_logging() -> anyhow::Result<()> {
    let quiet = std::env::var_os("RUST_LOG").unwrap_or_else(|| OsString::from("error"));
    let flags = BTreeMap::from([("RUST_LOG".to_owned(), quiet)]);
    let config = TelemetryConfig::load(&Sources::of_process(flags))?;
    telemetry::init(&config);
    Ok(())
}

/// As the setting's own `_FILE` form reads it: without a line break at the end.
fn read_secret(file: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(text.strip_suffix('\r').unwrap_or(text)))
}
