//! 18: a machine that gives out: of descriptors, of memory.

use futures::future::join_all;
use rustix::process::Resource;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::platform::{Platform, is_ready};
use crate::support::{RealDaemon, Session, TestDaemon, eventually, until};

#[tokio::test]
async fn without_descriptors_it_goes_on_and_with_them_it_is_whole_again() {
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    daemon.stop().await;
    let process = RealDaemon::start(&daemon, &[], "ulimit -S -n 128").await;
    let api = process.service(&daemon);
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    platform.agrees_with(&daemon).await;

    let port = process.url().port().expect("a port");
    let before = process.open_files();
    let mut sockets = Vec::new();
    for _ in 0..40 {
        sockets.push(
            TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("connected"),
        );
    }
    // Without one that it could take a place from, it could not serve anybody.
    until("most are accepted", || process.open_files() >= before + 30).await;
    // Not one more than it has now: accepting fails, and so does connecting to anywhere.
    process.limit(Resource::Nofile, Some(process.open_files()));
    for _ in 0..40 {
        sockets.push(
            TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("queued"),
        );
    }
    let session = platform.session(&daemon);
    platform.report_again_and_again(&api, &session).await;
    platform.agrees_with(&daemon).await;

    drop(sockets);
    process.limit(Resource::Nofile, None);
    let session = platform.session(&daemon);
    platform.report_again_and_again(&api, &session).await;
    platform.agrees_with(&daemon).await;
    assert!(is_ready(&api).await);
    process.stop().await;
}

/// Sessions of a coach without calendars: this is about the intake.
fn batch(daemon: &TestDaemon, coach: Uuid) -> Vec<Session> {
    const NOTES: &str = include_str!("../../../README.md");
    let session = || Session {
        notes: Some(&NOTES[..4_000]),
        ..Session::tomorrow(coach, daemon.now())
    };
    std::iter::repeat_with(session).take(300).collect()
}

#[tokio::test]
async fn with_too_little_memory_it_holds_or_dies_and_has_lost_nothing() {
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    daemon.stop().await;
    // Some hundred megabytes of addresses; what threads reserve included.
    let narrow = "ulimit -v 700000";
    let coach = Uuid::new_v4();
    let mut acknowledged = 0;
    let mut process = RealDaemon::start(&daemon, &[], narrow).await;
    for _ in 0..3 {
        let api = process.service(&daemon);
        let batches = (0..8).map(|_| batch(&daemon, coach)).collect::<Vec<_>>();
        let answers = join_all(batches.iter().map(async |sessions| {
            let items: Vec<Value> = sessions.iter().map(Session::item).collect();
            let body = json!({"appointments": items});
            api.try_post("appointments/batch", &body).await
        }))
        .await;
        let taken = answers
            .iter()
            .filter(|status| **status == Some(200))
            .count();
        acknowledged += taken * 300;
        if !process.is_running() {
            process = RealDaemon::start(&daemon, &[], narrow).await;
        }
    }
    assert!(acknowledged > 0, "nothing was taken in at all");
    let all = "SELECT CAST(count(*) AS text) FROM appointments WHERE notes IS NOT NULL";
    let stored = daemon.database.texts(all, 0).await.remove(0);
    let stored: usize = stored.parse().expect("a number");
    assert!(stored >= acknowledged, "{stored} of {acknowledged}");
    let api = process.service(&daemon);
    eventually("it takes in work", async || {
        platform.try_new(&daemon, &api).await.then_some(())
    })
    .await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
    process.stop().await;
}
