//! `kill -9` at random moments under a stream of changes.
//!
//! `CRASH_KILLS` says how many kills, `CRASH_SEED` which moments, victims and changes; without it a
//! fresh seed is taken and printed. Two nodes share a PostgreSQL database: either dies, sometimes
//! both, and from time to time the one with the most connections stays down until the other has taken
//! them over, which is timed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use uuid::Uuid;

use super::client::patiently;
use super::desired::{Desired, Link};
use super::figures::{self, database};
use super::node::Node;
use super::stage::{Plan, Stage};
use super::takeover;
use crate::support::{Session, is_postgres};

/// In `tests/run`: SQLite, PostgreSQL and two nodes make more than 200 together.
const KILLS: usize = 70;
const COACHES: usize = 3;
/// Open appointments of one coach, at most.
const OPEN_AT_ONCE: usize = 8;
/// Share of the calls that are carried out and whose answer is lost.
const ANSWERS_LOST: f64 = 0.03;
/// Of so many kills one waits for the takeover.
const TAKEOVER_EVERY: usize = 4;
/// Of so many kills one waits until every writer was answered: on a machine so busy that
/// no process lives long enough to answer, nothing would happen but kills.
const ANSWER_EVERY: usize = 2;

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{name} is a number, not {text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_is_killed_at_random_moments_and_nothing_is_lost() {
    kill_at_random(1, "500ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_are_killed_at_random_moments_and_nothing_is_lost() {
    // A SQLite file has one daemon; `two_nodes_share_one_database_or_the_second_is_refused` shows it.
    if is_postgres() {
        kill_at_random(2, "2s").await;
    }
}

async fn kill_at_random(nodes: usize, lease_ttl: &'static str) {
    let seed: u64 = number("CRASH_SEED").unwrap_or_else(|| rand::rng().random());
    let kills = number("CRASH_KILLS").unwrap_or(KILLS);
    let name = format!("{nodes} node(s) on {}, CRASH_SEED={seed}", database());
    figures::print(&format!("to be killed: {name}"), &[]);
    let stage = Stage::set(Plan {
        nodes,
        failpoints: None,
        lease_ttl,
        poll_interval: "2m",
        latency: Duration::from_millis(15),
    })
    .await;
    let coaches = connect_all(&stage).await;
    lose_answers(&stage);

    let stream = Stream::default();
    let counts = stream.acknowledged.iter();
    let writers = coaches.iter().zip(counts).zip(1..);
    let writers = writers.map(async |((links, acknowledged), number)| {
        let dice = StdRng::seed_from_u64(seed.wrapping_add(number));
        write(&stage, links, dice, acknowledged, &stream.ends).await
    });
    let killer = async {
        let killed = kill(&stage, StdRng::seed_from_u64(seed), kills, &stream).await;
        stream.ends.store(true, Ordering::Relaxed);
        killed
    };
    let (killed, written) = futures::join!(killer, futures::future::join_all(writers));
    let mut desired = Desired::default();
    for part in written {
        desired.merge(part);
    }
    stage.calendars.clear_faults();
    let at_rest = stage.comes_to_rest(&desired).await;

    let lost = desired.differences(&stage.calendars);
    let duplicated = stage.duplicated();
    let misordered = desired.misordered(&stage.calendars);
    let mut rows = vec![
        ("kills", killed.kills.to_string()),
        ("  with work under way", killed.in_flight.to_string()),
        (
            "changes acknowledged",
            stream.acknowledged().iter().sum::<usize>().to_string(),
        ),
        (
            "effects in calendars",
            stage.calendars.effect_count().to_string(),
        ),
        ("lost", lost.len().to_string()),
        ("duplicated", duplicated.len().to_string()),
        ("misordered", misordered.len().to_string()),
    ];
    rows.extend(figures::spread(
        ["starts", "  p50", "  p99", "  max"],
        stage.nodes.iter().flat_map(Node::starting_took),
    ));
    rows.extend(figures::spread(
        ["takeovers of 2s leases", "  p50", "  p99", "  max"],
        killed.takeovers.iter().copied(),
    ));
    figures::print(&format!("killed at random: {name}"), &rows);
    assert!(at_rest, "work is left, CRASH_SEED={seed}");
    assert!(lost.is_empty(), "CRASH_SEED={seed}: {lost:#?}");
    assert!(duplicated.is_empty(), "CRASH_SEED={seed}: {duplicated:#?}");
    assert!(misordered.is_empty(), "CRASH_SEED={seed}: {misordered:#?}");
    // Generous: how long it took is in the figures, and the machine may be busy.
    let longest = killed.takeovers.into_iter().max().unwrap_or_default();
    assert!(longest < Duration::from_secs(20), "{longest:?}");
}

/// Both providers for each coach; the connections, coach by coach.
async fn connect_all(stage: &Stage) -> Vec<Vec<Link>> {
    let mut coaches = Vec::new();
    for number in 1..=COACHES {
        let (coach, email) = (Uuid::new_v4(), format!("coach-{number}@example.com"));
        let mut links = Vec::new();
        for provider in ProviderKind::ALL {
            links.push(Link {
                id: stage.client.connect(provider, coach, &email).await,
                coach,
                provider,
                email: email.clone(),
                shows_details: false,
                is_active: true,
            });
        }
        coaches.push(links);
    }
    coaches
}

fn lose_answers(stage: &Stage) {
    use CallKind::{Batch, Create, Delete, Get, List, Refresh, Update};
    for kind in [Batch, Create, Delete, Get, List, Refresh, Update] {
        let rule = FaultRule::always(FaultEffect::AnswerLost)
            .at(kind)
            .with_probability(ANSWERS_LOST);
        stage.calendars.add_fault(rule).expect("room for a rule");
    }
}

/// The changes of all writers.
#[derive(Default)]
struct Stream {
    /// Writer by writer.
    acknowledged: [AtomicUsize; COACHES],
    ends: AtomicBool,
}

impl Stream {
    fn acknowledged(&self) -> [usize; COACHES] {
        self.acknowledged
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// Waits until each writer has got on.
    async fn flows(&self) {
        let before = self.acknowledged();
        patiently("every writer is answered", async || {
            let mut counts = self.acknowledged().into_iter().zip(before);
            counts.all(|(now, before)| now > before).then_some(())
        })
        .await;
    }
}

/// Makes, moves and cancels one coach's appointments, each change repeated until it is acknowledged.
async fn write(
    stage: &Stage,
    links: &[Link],
    mut dice: StdRng,
    acknowledged: &AtomicUsize,
    stop: &AtomicBool,
) -> Desired {
    let mut desired = Desired::default();
    desired.links.extend_from_slice(links);
    let mut open: Vec<Session> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let chosen = dice.random_range(0..OPEN_AT_ONCE);
        let session = if chosen < open.len() {
            let session = open.swap_remove(chosen);
            match dice.random_range(0..10) {
                0 => session.with_status("cancelled"),
                _ => session.moved(TimeDelta::minutes(1)),
            }
        } else {
            Session::tomorrow(links[0].coach, stage.clock.now())
        };
        let path = format!("appointments/{}", session.id);
        let body = session.body();
        let client = &stage.client;
        client
            .ask(Method::PUT, &path, Some(&body), &[200, 201])
            .await;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        desired.acknowledge(session.clone());
        if session.status == "confirmed" {
            open.push(session);
        }
        pause(&mut dice, 5..60).await;
    }
    desired
}

/// A random moment is what is wanted here.
async fn pause(dice: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    let pause = dice.random_range(milliseconds);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

#[derive(Default)]
struct Killed {
    kills: usize,
    /// Kills after which rows were taken and not settled.
    in_flight: usize,
    takeovers: Vec<Duration>,
}

async fn kill(stage: &Stage, mut dice: StdRng, wanted: usize, stream: &Stream) -> Killed {
    let mut killed = Killed::default();
    let mut turn = 0;
    while killed.kills < wanted {
        // Now and then it dies while it starts.
        if dice.random_range(0..5) != 0 {
            all_serve(stage).await;
        }
        turn += 1;
        if turn % ANSWER_EVERY == 0 {
            stream.flows().await;
        }
        pause(&mut dice, 0..700).await;
        if dice.random_range(0..5) == 0 {
            expire_some_tokens(stage, &mut dice);
        }
        if stage.nodes.len() > 1 && turn % TAKEOVER_EVERY == 0 {
            let taken_over = takeover::timed(stage).await;
            killed.kills += usize::from(!taken_over.is_empty());
            killed.takeovers.extend(taken_over);
            continue;
        }
        // One of them, or all.
        let mut victims = stage.nodes.iter().collect::<Vec<_>>();
        if dice.random_range(0..4) != 0 {
            victims = vec![victims[dice.random_range(0..victims.len())]];
        }
        // What has not come to serve yet is killed as well, but does not count.
        let serving = victims.iter().filter(|victim| victim.url().is_some());
        let serving = serving.count();
        for victim in victims {
            victim.kill();
        }
        if serving > 0 && is_in_flight(stage).await {
            killed.in_flight += serving;
        }
        killed.kills += serving;
    }
    all_serve(stage).await;
    killed
}

async fn all_serve(stage: &Stage) {
    for node in &stage.nodes {
        patiently("it serves", async || node.url()).await;
    }
}

fn expire_some_tokens(stage: &Stage, dice: &mut StdRng) {
    let email = format!("coach-{}@example.com", dice.random_range(1..=COACHES));
    for provider in ProviderKind::ALL {
        stage.calendars.expire_access_tokens(provider, &email);
    }
}

async fn is_in_flight(stage: &Stage) -> bool {
    let query = "SELECT status FROM calendar_sync_queue WHERE status = 'processing' LIMIT 1";
    !stage.database.texts(query, 0).await.is_empty()
}
