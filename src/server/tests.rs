//! A server with few places and little patience.

use std::net::SocketAddr;

use futures::stream;
use poem::endpoint::make_sync;
use poem::{Body, EndpointExt, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const SOON: Duration = Duration::from_secs(5);

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

async fn serve_with(limits: Limits) -> Served {
    let echo = make_sync(|request: Request| request.uri().path().to_owned());
    serve_this(echo.map_to_response(), limits).await
}

async fn serve_this(
    endpoint: impl Endpoint<Output = Response> + 'static,
    limits: Limits,
) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, endpoint, limits, stop.clone(), SOON));
    Served {
        address,
        stop,
        ended,
    }
}

fn patient(connections: usize) -> Limits {
    Limits {
        connections,
        between_requests: Duration::from_secs(60),
        without_progress: Duration::from_secs(60),
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    async fn answer(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        // A server that has seen enough may close before all is sent.
        let _ = socket.write_all(request.as_bytes()).await;
        to_its_end(&mut socket).await
    }
}

/// What comes until the server closes; it must.
async fn to_its_end(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(SOON, socket.read_to_end(&mut bytes)).await;
    // A reset is an end, too.
    let _ = read.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

const HEALTHY: &str = "GET /here HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn idle_connections_give_way_to_healthy_ones_the_longest_idle_first() {
    let served = serve_with(patient(3)).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(served.connect().await);
    }
    for _ in 0..10 {
        let answer = served.answer(HEALTHY).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("/here"), "{answer}");
    }
    assert_eq!(to_its_end(&mut idle[0]).await, "");
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let served = serve_with(Limits {
        between_requests: Duration::from_millis(50),
        ..patient(3)
    })
    .await;
    let mut socket = served.connect().await;
    socket.write_all(b"GET / HT").await.expect("sent");
    to_its_end(&mut socket).await;
    let mut silent = served.connect().await;
    to_its_end(&mut silent).await;
}

#[tokio::test]
async fn what_makes_no_progress_is_cut_off() {
    let served = serve_with(Limits {
        without_progress: Duration::from_millis(50),
        ..patient(3)
    })
    .await;
    let mut socket = served.connect().await;
    assert_eq!(to_its_end(&mut socket).await, "");
}

/// An answer without an end: a piece after each pause. What is sent tells that it was let go.
fn endless(
    piece: usize,
    pause: Duration,
    gone: &tokio::sync::mpsc::UnboundedSender<()>,
) -> impl Endpoint<Output = Response> + 'static {
    let gone = gone.clone();
    make_sync(move |_: Request| {
        let held = HeldAnswer(gone.clone());
        let pieces = stream::unfold(held, move |held| async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::io::Error>(vec![b'x'; piece]), held))
        });
        Response::builder().body(Body::from_bytes_stream(pieces))
    })
}

struct HeldAnswer(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        // Nobody listens any more once the test is over.
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn an_answer_that_goes_on_is_no_idle_connection_and_one_that_is_not_read_is_cut_off() {
    let (gone, mut is_gone) = tokio::sync::mpsc::unbounded_channel();
    let limits = Limits {
        without_progress: Duration::from_secs(1),
        ..patient(1)
    };
    let pause = Duration::from_millis(50);
    let served = serve_this(endless(1, pause, &gone), limits).await;
    let mut read = served.connect().await;
    read.write_all(HEALTHY.as_bytes()).await.expect("sent");
    let mut first = [0; 12];
    read.read_exact(&mut first).await.expect("an answer");
    // A newcomer waits: the only place is in use.
    let _newcomer = served.connect().await;
    let mut pieces = [0; 6 * 60];
    let reading = tokio::time::timeout(SOON, read.read_exact(&mut pieces)).await;
    reading.expect("it goes on").expect("it is not cut off");
    assert!(is_gone.try_recv().is_err());

    let served = serve_this(endless(1024 * 1024, Duration::ZERO, &gone), limits).await;
    let mut unread = served.connect().await;
    unread.write_all(HEALTHY.as_bytes()).await.expect("sent");
    let let_go = tokio::time::timeout(SOON, is_gone.recv()).await;
    assert_eq!(let_go.expect("it is let go"), Some(()));
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let served = serve_with(patient(3)).await;
    let many = "x: y\r\n".repeat(MOST_TRIED);
    let long = format!("x: {}\r\n", "y".repeat(256 * 1024));
    for flood in [many, long] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{flood}\r\n");
        let answer = served.answer(&request).await;
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 431");
        assert!(is_refused, "{answer}");
    }
}

const MOST_TRIED: usize = 1_000;

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let served = serve_with(patient(3)).await;
    let mut kept = served.connect().await;
    let request = HEALTHY.replace("connection: close\r\n", "");
    kept.write_all(request.as_bytes()).await.expect("sent");
    let mut first = [0; 12];
    kept.read_exact(&mut first).await.expect("an answer");
    let _silent = served.connect().await;
    served.stop.cancel();
    let ended = tokio::time::timeout(SOON, served.ended).await;
    assert!(ended.is_ok_and(|ended| ended.is_ok()));
}
