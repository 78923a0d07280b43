//! Several nodes on one PostgreSQL.
//!
//! A SQLite file is for one daemon. There, each of these stories sees that a second one is refused,
//! and ends; what they tell is tested on PostgreSQL alone.

mod handover;
mod live_status;
mod quota;
mod takeover;
mod wakeups;

use calendar_integration::daemon::StartError;
use calendar_integration::store::StoreError;
use uuid::Uuid;

use crate::support::{Api, Node, Setup, TestDaemon, eventually, is_postgres};

/// Nobody waits for the poll.
const NEVER: (&str, &str) = ("SYNC_POLL_INTERVAL", "10m");

/// Two nodes that hear each other.
async fn two_nodes(setup: Setup) -> Option<(TestDaemon, Node)> {
    let first = setup.set(NEVER.0, NEVER.1).start().await;
    let second = second_node(&first, &[]).await?;
    for node in [first.nobody(), second.service(&first)] {
        eventually("it listens", async || {
            (wakeups(&node).await == "listening").then_some(())
        })
        .await;
    }
    both_know(&first, &second).await;
    Some((first, second))
}

/// The second node, or nobody on SQLite.
async fn second_node(first: &TestDaemon, settings: &[(&'static str, &str)]) -> Option<Node> {
    match first.second_node_with(settings).await {
        Ok(second) => {
            assert!(is_postgres(), "a SQLite file is for one daemon");
            Some(second)
        }
        Err(StartError::Store(StoreError::InUse)) => {
            assert!(!is_postgres(), "PostgreSQL is there for several nodes");
            None
        }
        Err(error) => panic!("the second node does not start: {error}"),
    }
}

async fn both_know(first: &TestDaemon, second: &Node) {
    for node in [first.admin(), second.admin(first)] {
        eventually("it knows of the other", async || {
            (metric(&node, "calendar_nodes_alive").await == 2.0).then_some(())
        })
        .await;
    }
}

/// How the node says that hints from others reach it.
async fn wakeups(node: &Api) -> String {
    let ready = node.get("/health/ready").await.expect(200);
    let parts = ready["parts"].as_array().expect("a list");
    let part = parts.iter().find(|part| part["name"] == "node_wakeups");
    let part = part.expect("the part");
    assert_eq!(part["ok"], true, "{part}");
    part["detail"].as_str().expect("a text").to_owned()
}

/// The sum of what a metric says.
async fn metric(node: &Api, name: &str) -> f64 {
    let text = node.get("/metrics").await.text;
    text.lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

async fn node_id(node: &Api) -> String {
    let actors = node.get("/health/actors").await.expect(200);
    actors["id"].as_str().expect("an id").to_owned()
}

/// Whose the lease is; empty: nobody's.
async fn owner(daemon: &TestDaemon, connection: Uuid) -> String {
    let query = format!(
        "SELECT COALESCE(node::text, '') FROM connection_leases WHERE connection_id = '{connection}'"
    );
    let mut owners = daemon.database.texts(&query, 0).await;
    owners.pop().unwrap_or_default()
}
