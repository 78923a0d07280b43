//! What systemd hears from the program.

use rustix::process::Signal;
use tokio::net::UnixDatagram;

use crate::support::{RealDaemon, TestDaemon, eventually};

async fn heard(socket: &UnixDatagram) -> String {
    let mut said = [0; 256];
    let length = socket.recv(&mut said).await.expect("a datagram");
    String::from_utf8_lossy(&said[..length]).trim().to_owned()
}

#[tokio::test]
async fn the_service_manager_hears_that_it_is_ready_well_and_stopping() {
    let mut daemon = TestDaemon::start().await;
    daemon.stop().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let path = path.to_str().expect("UTF-8");
    // Restarts and probes come sooner here than a minute.
    let told = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000")];
    let mut process = RealDaemon::start(&daemon, &told, "").await;
    assert_eq!(heard(&socket).await, "READY=1");
    process
        .service(&daemon)
        .get("/health/live")
        .await
        .expect(200);
    for _ in 0..5 {
        assert_eq!(heard(&socket).await, "WATCHDOG=1");
    }
    process.signal(Signal::TERM);
    loop {
        match heard(&socket).await.as_str() {
            "WATCHDOG=1" => {}
            "STOPPING=1" => break,
            other => panic!("it said {other}"),
        }
    }
    eventually("it ended", async || (!process.is_running()).then_some(())).await;
}
