//! Two nodes on one PostgreSQL, one of which dies while a connection goes from it to the other.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::failpoint::{Moment, Place};
use chrono::TimeDelta;
use reqwest::Method;
use uuid::Uuid;

use super::client::patiently;
use super::desired::{Desired, Link};
use super::every_point::{BETWEEN_NODES, Strike};
use super::figures;
use super::node::Node;
use super::stage::{Plan, Stage};
use crate::support::{COACH_EMAIL, Session, is_postgres};

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_connection_changes_hands_it_loses_and_doubles_nothing() {
    // A SQLite file has one daemon, which says so to a second one.
    if !is_postgres() {
        return;
    }
    let places = BETWEEN_NODES.map(|step| Moment::ALL.map(|moment| Place::Of(step, moment)));
    let runs = places.as_flattened().iter().map(|place| run(*place));
    let runs = futures::future::join_all(runs).await;
    let heading = "killed at every step between two nodes on PostgreSQL";
    figures::print(heading, &[("kills", runs.len().to_string())]);
}

async fn run(place: Place) {
    let stage = Stage::set(Plan {
        nodes: 2,
        failpoints: Some(Strike::Kill.at(place, 0)),
        lease_ttl: "2s",
        poll_interval: "2m",
        latency: Duration::from_millis(1),
    })
    .await;
    let coach = Uuid::new_v4();
    let provider = ProviderKind::Google;
    let id = stage.client.connect(provider, coach, COACH_EMAIL).await;
    let mut desired = Desired::default();
    desired.links.push(Link {
        id,
        coach,
        provider,
        email: COACH_EMAIL.to_owned(),
        shows_details: false,
        is_active: true,
    });
    let mut session = Session::tomorrow(coach, stage.clock.now());
    // What a person asks of the node that does not own the connection makes it change hands; what
    // changes goes to either in turn.
    patiently(&format!("a node comes to {place}"), async || {
        session = session.clone().moved(TimeDelta::minutes(1));
        let path = format!("appointments/{}", session.id);
        let (client, body) = (&stage.client, session.body());
        client
            .ask(Method::PUT, &path, Some(&body), &[200, 201])
            .await;
        desired.acknowledge(session.clone());
        let test = format!("connections/{id}/test");
        for url in stage.nodes.iter().filter_map(Node::url) {
            // Whatever it answers: it may die of it.
            let _ = client.attempt_at(&url, Method::POST, &test, None).await;
        }
        let mut nodes = stage.nodes.iter();
        nodes.any(Node::was_struck).then_some(())
    })
    .await;
    stage.converges(&desired).await;
    let duplicated = stage.duplicated();
    assert!(duplicated.is_empty(), "{place}: {duplicated:#?}");
    let misordered = desired.misordered(&stage.calendars);
    assert!(misordered.is_empty(), "{place}: {misordered:#?}");
}
