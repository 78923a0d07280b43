//! 17: clients that hold sockets, drip, and send without measure, against the process as it ships.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::platform::{Platform, is_ready};
use crate::support::{RealDaemon, TestDaemon};

const MEGABYTE: u64 = 1024 * 1024;
const IDLE_SOCKETS: usize = 5_000;
/// What abuse may cost for as long as it goes on.
const MOST_GROWTH: u64 = 128 * MEGABYTE;
/// The longest that the server may take to be done with a client that it refuses.
const SOON: Duration = Duration::from_secs(20);

async fn process() -> (TestDaemon, Platform, RealDaemon) {
    let mut daemon = TestDaemon::start().await;
    let platform = Platform::with_calendars(&daemon).await;
    daemon.stop().await;
    let process = RealDaemon::start(&daemon, &[], "").await;
    (daemon, platform, process)
}

async fn connect(process: &RealDaemon) -> TcpStream {
    let port = process.url().port().expect("a port");
    let connected = TcpStream::connect(("127.0.0.1", port)).await;
    connected.expect("connected")
}

/// Sends until the server has had enough; what it answered.
async fn send(process: &RealDaemon, head: &str, piece: &[u8], times: usize) -> String {
    let socket = connect(process).await;
    let (mut reads, mut writes) = socket.into_split();
    let sending = async {
        let mut sent = writes.write_all(head.as_bytes()).await;
        for _ in 0..times {
            if sent.is_err() {
                break;
            }
            sent = writes.write_all(piece).await;
        }
        // The answer decides; the socket stays until it is there.
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(SOON, async {
        tokio::select! {
            () = sending => {}
            // A reset after the answer is an end, too.
            _ = reads.read_to_end(&mut answer) => {}
        }
    });
    ended.await.expect("the server is done with it");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The head of a report by the booking platform.
fn report(daemon: &TestDaemon, process: &RealDaemon, more: &str) -> String {
    let token = process.service(daemon).token().to_owned();
    let id = uuid::Uuid::new_v4();
    format!(
        "PUT /api/calendar-integration/appointments/{id} HTTP/1.1\r\nhost: a\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn idle_and_dripping_sockets_keep_nobody_out() {
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    setrlimit(Resource::Nofile, all).expect("up to the maximum anybody may");
    let (daemon, mut platform, process) = process().await;
    let api = process.service(&daemon);
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    let before = process.memory();

    let mut idle = Vec::with_capacity(IDLE_SOCKETS);
    for _ in 0..IDLE_SOCKETS {
        idle.push(connect(&process).await);
    }
    let head = report(&daemon, &process, "content-length: 1000\r\n");
    let stop = Arc::new(Notify::new());
    let dripping = (0..100).map(|number| {
        let drops = if number % 2 == 0 {
            "GET / HTTP/1.1\r\nx: "
        } else {
            head.as_str()
        };
        drip(&process, drops, &stop)
    });
    let healthy = async {
        for _ in 0..4 {
            let session = platform.session(&daemon);
            platform.report(&api, &session).await;
            assert!(is_ready(&api).await);
        }
        platform.agrees_with(&daemon).await;
        stop.notify_waiters();
    };
    tokio::join!(join_all(dripping), healthy);
    let grown = process.memory().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{} MB more", grown / MEGABYTE);
    drop(idle);
    process.stop().await;
}

/// A byte now and then, for ever, or until the server closes.
async fn drip(process: &RealDaemon, beginning: &str, stop: &Notify) {
    let stopped = stop.notified();
    let mut socket = connect(process).await;
    let dripping = async {
        let mut sent = socket.write_all(beginning.as_bytes()).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            sent = socket.write_all(b"y").await;
        }
    };
    tokio::select! {
        () = dripping => {}
        () = stopped => {}
    }
}

#[tokio::test]
async fn bodies_and_heads_without_measure_are_refused_in_bounded_memory() {
    let (daemon, mut platform, process) = process().await;
    let api = process.service(&daemon);
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    let before = process.memory();

    let length = format!("content-length: {}\r\n", 64 * MEGABYTE);
    let chunked = "transfer-encoding: chunked\r\n";
    let megabyte = vec![b' '; 1024 * 1024];
    let chunk = [b"100000\r\n".as_slice(), &megabyte, b"\r\n"].concat();
    let huge = (0..8).map(async |number| {
        let answer = if number % 2 == 0 {
            send(&process, &report(&daemon, &process, &length), &megabyte, 64).await
        } else {
            send(&process, &report(&daemon, &process, chunked), &chunk, 64).await
        };
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 413");
        assert!(is_refused, "{answer}");
    });
    join_all(huge).await;

    for nested in ["[", "{\"a\":"] {
        let body = nested.repeat(200_000 / nested.len());
        let close = format!("connection: close\r\ncontent-length: {}\r\n", body.len());
        let head = report(&daemon, &process, &close);
        let answer = send(&process, &head, body.as_bytes(), 1).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("invalid_body"), "{answer}");
    }

    for header in [
        "x: y\r\n".repeat(10_000),
        format!("x: {}\r\n", "y".repeat(1_000_000)),
    ] {
        let answer = send(&process, &report(&daemon, &process, &header), b"", 1).await;
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 431");
        assert!(is_refused, "{answer}");
    }

    let path = format!("connections/{}", platform.coach);
    let many = join_all((0..400).map(async |_| api.get(&path).await.status)).await;
    assert!(many.iter().all(|status| [200, 503].contains(status)));
    assert!(many.contains(&200));

    let grown = process.memory().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{} MB more", grown / MEGABYTE);
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    platform.agrees_with(&daemon).await;
    process.stop().await;
}

/// Those of one coach, held in memory for as long as the coach likes to keep us waiting for the rest.
#[tokio::test]
async fn a_coach_has_no_body_read_that_is_larger_than_any_of_the_coachs() {
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    let token = daemon.coach(platform.coach).token().to_owned();
    daemon.stop().await;
    let process = RealDaemon::start(&daemon, &[], "").await;
    let api = process.service(&daemon);
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    let connection = platform.connections[0];
    let before = process.memory();

    let megabyte = vec![b' '; 1024 * 1024];
    let paths = [
        format!("connections/{connection}/test"),
        format!("connections/{connection}/sync"),
        format!("connections/{connection}/preview"),
        "appointments/batch".to_owned(),
    ];
    let stalled = (0..32).map(async |number| {
        let path = &paths[number % paths.len()];
        let head = format!(
            "POST /api/calendar-integration/{path} HTTP/1.1\r\nhost: a\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             idempotency-key: {number}\r\ncontent-length: {}\r\n\r\n",
            8 * MEGABYTE
        );
        // All but the last megabyte, which never comes.
        let answer = send(&process, &head, &megabyte, 7).await;
        let is_refused = ["413", "403"].map(|status| format!("HTTP/1.1 {status}"));
        let is_refused = is_refused.iter().any(|start| answer.starts_with(start));
        assert!(is_refused || answer.is_empty(), "{answer}");
    });
    join_all(stalled).await;

    let grown = process.memory().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{} MB more", grown / MEGABYTE);
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    platform.agrees_with(&daemon).await;
    process.stop().await;
}
