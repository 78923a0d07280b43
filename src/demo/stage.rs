//! Simulator and daemon in this process, on loopback, with a database that is thrown away.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use poem::Route;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use super::settings::{fresh_jwt_secret, fresh_key_line, provider_settings};
use crate::config::{Config, Section, Sources};
use crate::daemon::{Daemon, Surroundings};
use crate::dashboard;
use crate::simulator::{Simulator, SimulatorConfig, SimulatorHandle};

/// How to set the stage.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Tried first; a free port is taken instead if it is in use.
    pub(super) api_port: u16,
    pub(super) simulator_port: u16,
    pub(super) simulator: SimulatorConfig,
    /// Beside those that lead to the simulator.
    pub(super) settings: Vec<(&'static str, String)>,
    /// Adds pages to those of the daemon, told where the simulator is.
    pub(super) pages: Option<fn(Route, &Url) -> Route>,
}

pub(super) struct Stage {
    pub(super) surroundings: Surroundings,
    pub(super) jwt_secret: SecretString,
    simulator: Simulator,
    daemon: Daemon,
    directory: TempDir,
}

impl Stage {
    pub(super) async fn set(plan: Plan) -> anyhow::Result<Self> {
        let surroundings = Surroundings::default();
        let jwt_secret = fresh_jwt_secret(&*surroundings.entropy);
        let directory = tempfile::Builder::new()
            .prefix("calendar-integration-demo-")
            .tempdir()
            .context("no directory can be made for the demo's database")?;
        let simulator = Simulator::start(
            SimulatorConfig {
                bind: free_address(plan.simulator_port).await?,
                ..plan.simulator
            },
            surroundings.clock.clone(),
            surroundings.entropy.clone(),
        )
        .await?;
        let address = free_address(plan.api_port).await?;
        let key_line = fresh_key_line(&*surroundings.entropy)?;
        let mut database = OsString::from("sqlite://");
        database.push(directory.path().join("demo.db"));
        database.push("?mode=rwc");
        let own = [
            ("DATABASE_URL", database),
            ("BIND_ADDRESS", address.to_string().into()),
            ("PUBLIC_URL", format!("http://{address}").into()),
            ("AUTH_JWT_SECRET", jwt_secret.expose_secret().into()),
            ("TOKEN_ENCRYPTION_KEYS", key_line.expose_secret().into()),
            ("SHUTDOWN_DEADLINE", "5s".into()),
        ];
        let others = provider_settings(simulator.url());
        let others = others.into_iter().chain(plan.settings);
        let pairs = own
            .into_iter()
            .chain(others.map(|(name, value)| (name, OsString::from(value))));
        let config = Config::load(&Sources::of_pairs(pairs))?;
        let pages = match plan.pages {
            Some(add) => add(dashboard::routes(), simulator.url()),
            None => dashboard::routes(),
        };
        let daemon = Daemon::start_with(config, surroundings.clone(), pages).await?;
        Ok(Self {
            surroundings,
            jwt_secret,
            simulator,
            daemon,
            directory,
        })
    }

    pub(super) fn api_url(&self) -> Url {
        self.daemon.url()
    }

    pub(super) fn simulator_url(&self) -> &Url {
        self.simulator.url()
    }

    pub(super) fn simulator(&self) -> SimulatorHandle {
        self.simulator.handle()
    }

    /// Resolves if the daemon cannot go on.
    pub(super) async fn failed(&self) {
        self.daemon.failed().await;
    }

    /// Ends both and removes the database. Nothing is left behind.
    pub(super) async fn clear(self) -> anyhow::Result<()> {
        self.daemon.shutdown().await;
        self.simulator.shutdown().await;
        self.directory
            .close()
            .context("the demo's database cannot be removed")
    }
}

/// A performance was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before its end")]
pub(super) struct Stopped;

/// The wanted port if it is free, else another one. Found by listening for a moment: the address
/// must be known before the daemon starts, for its own settings name it.
async fn free_address(port: u16) -> anyhow::Result<SocketAddr> {
    let wanted = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = match wanted {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no port of this machine is free")?,
    };
    Ok(listener.local_addr()?)
}

/// What the demo says about a port that it did not get.
pub(super) fn port_note(wanted: u16, url: &Url) -> Option<String> {
    let got = url.port_or_known_default();
    (got != Some(wanted)).then(|| format!("port {wanted} is taken, so a free one is used"))
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
