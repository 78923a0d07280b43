//! Google and Microsoft as HTTP servers in memory, for demo, tests and load.
//!
//! Owns what the providers hold (accounts, calendars, events, tokens), how strictly they answer,
//! their quotas, scripted faults, the coach's edits by hand, and a ledger of every effect. Behaves
//! as the providers' documents say, never as our client would like; knows nothing of the daemon.
//!
//! Everything lies under one loopback origin: `/google/…`, `/microsoft/…`, a control API for other
//! processes under `/control/…`, and for people a week view at `/` with a panel to make trouble. The same controls are methods
//! of [`SimulatorHandle`]. State is memory alone and ends with the simulator.

mod account;
mod coach;
mod config;
mod consent;
mod control;
mod faults;
mod google;
mod handle;
mod ledger;
mod markup;
mod message;
mod microsoft;
mod oauth;
mod page;
mod quota;
mod random;
mod server;
mod shape;
mod tokens;
mod trouble;
mod view;
mod week;
mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use poem::Server;
use poem::listener::{Acceptor, Listener, TcpListener};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::domain::{Clock, Entropy};

pub use coach::{CoachEdit, EditError, EventSelector, GuestAnswer};
pub use config::{Limits, OAuthClient, SimulatorConfig, Window};
pub use faults::{BatchForm, FaultEffect, FaultRule, FaultStatus, TooManyRules};
pub use handle::{IssuedTokens, SimulatorHandle};
pub use ledger::{Actor, CallCount, CallKind, Effect, EffectKind, SeenCall};
pub use view::{AccountView, CalendarView, Duplicate, LiveEvent};

use server::Front;
use world::Shared;

/// A running pair of simulated providers.
#[derive(Debug)]
pub struct Simulator {
    handle: SimulatorHandle,
    /// Stops the server also when the simulator is dropped without a shutdown.
    stop: DropGuard,
    served: JoinHandle<std::io::Result<()>>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the simulator listens on loopback addresses only")]
    NotLoopback,
    #[error("the simulator cannot listen")]
    Listen(#[source] std::io::Error),
}

/// How long calls under way may take to end at a shutdown; hanging ones never would.
const DRAIN: Duration = Duration::from_millis(200);

impl Simulator {
    /// Listens and serves in the background.
    pub async fn start(
        config: SimulatorConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        if !config.bind.ip().is_loopback() {
            return Err(StartError::NotLoopback);
        }
        let acceptor = TcpListener::bind(config.bind)
            .into_acceptor()
            .await
            .map_err(StartError::Listen)?;
        let bound = acceptor
            .local_addr()
            .into_iter()
            .find_map(|address| address.as_socket_addr().copied())
            .unwrap_or(config.bind);
        let url = Url::parse(&format!("http://{bound}/"))
            .map_err(|error| StartError::Listen(std::io::Error::other(error)))?;
        let shared = Arc::new(Shared::new(config, clock, entropy, url));
        let stop = CancellationToken::new();
        let signal = stop.clone().cancelled_owned();
        let server = Server::new_with_acceptor(acceptor).name("simulator");
        let front = Front(shared.clone());
        let served = tokio::spawn(async move {
            server
                .run_with_graceful_shutdown(front, signal, Some(DRAIN))
                .await
        });
        Ok(Self {
            handle: SimulatorHandle::new(shared),
            stop: stop.drop_guard(),
            served,
        })
    }

    /// The origin everything lies under.
    pub fn url(&self) -> &Url {
        self.handle.url()
    }

    /// Controls and questions; outlives the server and can be cloned.
    pub fn handle(&self) -> SimulatorHandle {
        self.handle.clone()
    }

    /// For `GOOGLE_AUTH_URL`.
    pub fn google_auth_url(&self) -> Url {
        self.below("google/o/oauth2/v2/auth")
    }

    /// For `GOOGLE_TOKEN_URL`.
    pub fn google_token_url(&self) -> Url {
        self.below("google/token")
    }

    /// For `GOOGLE_REVOKE_URL`.
    pub fn google_revoke_url(&self) -> Url {
        self.below("google/revoke")
    }

    /// For `GOOGLE_USERINFO_URL`.
    pub fn google_userinfo_url(&self) -> Url {
        self.below("google/oauth2/v2/userinfo")
    }

    /// For `GOOGLE_API_URL`.
    pub fn google_api_url(&self) -> Url {
        self.below("google")
    }

    /// For `MICROSOFT_LOGIN_URL`.
    pub fn microsoft_login_url(&self) -> Url {
        self.below("microsoft/login")
    }

    /// For `MICROSOFT_GRAPH_URL`.
    pub fn microsoft_graph_url(&self) -> Url {
        self.below("microsoft/graph/v1.0")
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.url().clone();
        url.set_path(path);
        url
    }

    /// Stops listening, lets calls under way end, and cuts those that do not.
    pub async fn shutdown(self) {
        let Self { stop, served, .. } = self;
        drop(stop);
        match served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the simulator stopped with an error"),
            Err(error) => tracing::warn!(%error, "the simulator's server task failed"),
        }
    }
}
