//! How long the connections of a killed node wait for the other one.

use std::collections::BTreeMap;
use std::time::Duration;

use calendar_integration::domain::{ProviderKind, Timestamp};
use reqwest::Method;

use super::client::patiently;
use super::stage::Stage;

/// A calendar account.
type Account = (ProviderKind, String);

/// Kills the node with the most connections and keeps it down until the survivor has acted for each
/// of them; the time from the kill to the first call, for each. Empty if no node has any just now.
///
/// The stream of changes goes on, so each has something to do soon after the kill.
pub(super) async fn timed(stage: &Stage) -> Vec<Duration> {
    let mut owned = owned(stage).await;
    let mut most = (0, Vec::new());
    for (place, node) in stage.nodes.iter().enumerate() {
        let Some(id) = node_id(stage, place).await else {
            continue;
        };
        let theirs = owned.remove(&id).unwrap_or_default();
        if node.url().is_some() && theirs.len() > most.1.len() {
            most = (place, theirs);
        }
    }
    let (victim, accounts) = most;
    if accounts.is_empty() {
        return Vec::new();
    }
    let victim = &stage.nodes[victim];
    victim.hold(true);
    victim.kill();
    let killed_at = stage.clock.now();
    let taken_over = patiently("the survivor takes over", async || {
        let firsts = accounts
            .iter()
            .map(|account| first_call(stage, account, killed_at));
        firsts.collect::<Option<Vec<_>>>()
    })
    .await;
    victim.hold(false);
    taken_over
}

/// Which accounts each node acts for, by the node's id.
async fn owned(stage: &Stage) -> BTreeMap<String, Vec<Account>> {
    let query = "SELECT CAST(l.node AS TEXT) || ' ' || c.provider || ' ' || c.account_email \
                 FROM connection_leases l \
                 JOIN coach_calendar_connections c ON c.id = l.connection_id \
                 WHERE l.node IS NOT NULL";
    let mut owned: BTreeMap<String, Vec<Account>> = BTreeMap::new();
    for row in stage.database.texts(query, 0).await {
        let mut words = row.split(' ').map(str::to_owned);
        let mut word = || words.next().expect("three words");
        let (node, provider, email) = (word(), word(), word());
        let provider = provider.parse().expect("a provider");
        owned.entry(node).or_default().push((provider, email));
    }
    owned
}

/// The id of a node's process, if it answers.
async fn node_id(stage: &Stage, place: usize) -> Option<String> {
    let url = stage.nodes[place].url()?;
    let client = &stage.client;
    let reply = client
        .attempt_at(&url, Method::GET, "/health/actors", None)
        .await?;
    Some(reply.json()["id"].as_str()?.to_owned())
}

/// How long after the kill the first call for the account arrived.
fn first_call(
    stage: &Stage,
    (provider, email): &Account,
    killed_at: Timestamp,
) -> Option<Duration> {
    let calls = stage.calendars.calls_of(*provider, email);
    // What the dead one sent is no takeover.
    let mut since = calls.iter().filter(|call| call.at > killed_at);
    (since.next()?.at - killed_at).to_std().ok()
}
