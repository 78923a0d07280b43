//! `serve`: the daemon until a signal, or until it cannot be kept alive.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ServeArgs;
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
    let failed = tokio::select! {
        () = signals.next() => false,
        () = daemon.failed() => true,
    };
    tracing::info!("stopping: rounds under way finish; a second signal ends at once");
    tokio::select! {
        () = daemon.shutdown() => {}
        () = signals.next() => {
            tracing::warn!("ended at once; what was under way is taken up at the next start");
            return Ok(ExitCode::FAILURE);
        }
    }
    if failed {
        anyhow::bail!("the actor tree could not be kept alive; see the log above");
    }
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM and SIGINT, which mean the same to us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
