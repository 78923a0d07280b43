//! `serve`: the daemon until a signal, or until it cannot be kept alive.

use std::process::ExitCode;

use anyhow::Context;

use super::ServeArgs;
use super::service_manager;
use super::signals::Signals;
use crate::config::{Config, Section};
use crate::daemon::{Daemon, Surroundings};
use crate::telemetry;

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.into_sources())?;
    telemetry::init(&config.telemetry);
    let mut signals = Signals::listen().context("signals cannot be listened for")?;
    let daemon = Daemon::start(config, Surroundings::default()).await?;
    tracing::info!(
        address = %daemon.address(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    service_manager::ready();
    let failed = tokio::select! {
        () = signals.next() => false,
        () = daemon.failed() => true,
        never = service_manager::feed_watchdog(&daemon) => match never {},
    };
    service_manager::stopping();
    tracing::info!("stopping: rounds under way finish; a second signal ends at once");
    tokio::select! {
        () = daemon.shutdown() => {}
        () = signals.next() => {
            tracing::warn!("ended at once; what was under way is taken up at the next start");
            return Ok(ExitCode::FAILURE);
        }
    }
    if failed {
        anyhow::bail!("a part of the daemon could not be kept alive; see the log above");
    }
    Ok(ExitCode::SUCCESS)
}
