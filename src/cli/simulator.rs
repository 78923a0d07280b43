//! `simulator`: the simulated providers alone, until a signal.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use url::Url;

use super::signals::Signals;
use crate::demo::provider_settings;
use crate::domain::{SystemClock, SystemEntropy};
use crate::simulator::{Simulator, SimulatorConfig};

#[derive(Debug, Args)]
pub struct SimulatorArgs {
    /// Where to listen, on loopback only; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub bind_address: SocketAddr,
}

pub(super) async fn run(args: SimulatorArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("signals cannot be listened for")?;
    let config = SimulatorConfig {
        bind: args.bind_address,
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start(config, SystemClock::shared(), Arc::new(SystemEntropy))
        .await
        .with_context(|| format!("no simulator at {}", args.bind_address))?;
    introduce(simulator.url());
    signals.next().await;
    simulator.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "tells how to use the simulator")]
fn introduce(url: &Url) {
    println!("Simulated Google and Microsoft at {url}");
    println!("Week view      {url}");
    println!("Controls       {url}control/state  (faults, edits by hand, ledger: JSON over HTTP)");
    println!("\nFor the `.env` of a daemon that shall use them:\n");
    for (name, value) in provider_settings(url) {
        println!("{name}={value}");
    }
    println!("\nAll state is memory and ends with this program. Press Ctrl-C to end.");
}
