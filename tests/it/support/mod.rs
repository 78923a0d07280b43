//! What the stories are told with: a real daemon, real HTTP, simulated providers, a database.
//!
//! Stories wait for states with [`eventually`] and never sleep themselves.

mod api;
mod calendar;
mod cluster;
mod collector;
mod daemon;
mod database;
mod deaf;
mod proxy;
mod real;
mod receiver;
mod session;
mod sign_in;
mod stream;

pub(crate) use api::{Api, Reply};
pub(crate) use calendar::COACH_EMAIL;
pub(crate) use cluster::Cluster;
pub(crate) use collector::{Collector, Seen};
pub(crate) use daemon::{JWT_SECRET, Node, PUBLIC_URL, Setup, TestDaemon, settings};
pub(crate) use database::{TestDatabase, is_postgres, needs_postgres, needs_sqlite};
pub(crate) use deaf::DeafProxy;
pub(crate) use proxy::Proxy;
pub(crate) use real::RealDaemon;
pub(crate) use receiver::{Received, Receiver};
pub(crate) use session::Session;
pub(crate) use sign_in::{Browser, Consent, parameter};
pub(crate) use stream::StatusEvent;

use std::time::{Duration, Instant};

/// For a machine that has much else to do; whoever waits in vain waits that long.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_every(PAUSE, what, look).await
}

/// As [`eventually`], where looking is work for the daemon and many look at once.
pub(crate) async fn eventually_every<T>(
    pause: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "did not happen: {what}");
        tokio::time::sleep(pause).await;
    }
}

/// As [`eventually`], for what is seen without waiting.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, async || is_so().then_some(())).await;
}
