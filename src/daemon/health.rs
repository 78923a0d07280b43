//! Readiness, put together from the records each part keeps.

use std::convert::Infallible;
use std::time::Duration;

use super::ports::Ports;
use crate::api::ports::{Readiness, ReadyPart};
use crate::connections::Trouble;
use crate::nodes::Hearing;

/// How long it is good to know that the database answers, or does not.
const PING_KEPT: Duration = Duration::from_secs(1);

pub(super) async fn ready(ports: &Ports) -> Readiness {
    readiness(ports, database(ports).await)
}

/// As [`ready`], but a database that does not answer for so long counts as one that is not there.
pub(super) async fn ready_within(ports: &Ports, patience: Duration) -> Readiness {
    let answered = tokio::time::timeout(patience, database(ports)).await;
    let silent = |_| part("database", false, "", "does not answer");
    readiness(ports, answered.unwrap_or_else(silent))
}

fn readiness(ports: &Ports, database: ReadyPart) -> Readiness {
    let mut parts = vec![
        database,
        poller(ports),
        part(
            "supervisors",
            ports.connections.is_running(),
            "running",
            "the connections actor is not running; it is being restarted",
        ),
        progress(ports),
        wakeups(ports),
    ];
    let now = ports.context.clock.now();
    for (kind, service) in &ports.context.services {
        let name = format!("provider_{kind}");
        let (ok, detail) = match service.trouble() {
            None => (true, "configured".to_owned()),
            Some(Trouble::SetUp(pause)) => {
                let until = pause.until.max(now);
                let code = pause.code.as_str();
                let detail = pause.detail;
                (false, format!("paused until {until} ({code}): {detail}"))
            }
            // Said, but no reason to take this daemon out of service: it is well, takes changes, and
            // another in its place would do no better.
            Some(Trouble::Outage {
                since,
                next_probe_at,
            }) => {
                let next = next_probe_at.max(now);
                (
                    true,
                    format!("in an outage, seen since {since}; next probe {next}; nothing is lost"),
                )
            }
        };
        parts.push(ReadyPart { name, ok, detail });
    }
    Readiness {
        ok: parts.iter().all(|part| part.ok),
        parts,
    }
}

/// Asked at most once a second, for anybody may ask, as often as they like.
async fn database(ports: &Ports) -> ReadyPart {
    let context = &ports.context;
    let ask = async {
        let answered = context.store.ping().await;
        let trouble = answered.as_ref().err().map(ToString::to_string);
        let bad = trouble.as_deref().unwrap_or_default();
        Ok::<_, Infallible>(part("database", answered.is_ok(), "answers", bad))
    };
    let clock = context.clock.as_ref();
    let Ok(part) = ports.ping.get(clock, PING_KEPT, ask).await;
    part
}

fn poller(ports: &Ports) -> ReadyPart {
    let seen = ports.poller.snapshot();
    if !ports.poller.is_running() {
        return part(
            "queue_poller",
            false,
            "",
            "not running; it is being restarted",
        );
    }
    match seen.last_error {
        Some(error) => part("queue_poller", false, "", &error),
        None => part("queue_poller", true, "running", ""),
    }
}

fn progress(ports: &Ports) -> ReadyPart {
    match ports.watchdog.trouble(&*ports.context.clock) {
        Some(trouble) => part("progress", false, "", &trouble),
        None => part("progress", true, &ports.watchdog.detail(), ""),
    }
}

/// Never a reason to be taken out of service: without hints from other nodes the poll finds the work.
fn wakeups(ports: &Ports) -> ReadyPart {
    let detail = match ports.context.nodes.hearing() {
        Hearing::NotNeeded => "not needed: a SQLite database has one node".to_owned(),
        Hearing::Connecting => "connecting".to_owned(),
        Hearing::Listening => "listening".to_owned(),
        Hearing::PollingOnly(why) => format!(
            "polling only: what other nodes take in starts within SYNC_POLL_INTERVAL ({why})"
        ),
    };
    part("node_wakeups", true, &detail, "")
}

fn part(name: &str, ok: bool, good: &str, bad: &str) -> ReadyPart {
    ReadyPart {
        name: name.to_owned(),
        ok,
        detail: if ok { good } else { bad }.to_owned(),
    }
}
