//! 11: hosts whose clocks are wrong, each by another five minutes. Needs PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use calendar_integration::domain::{Clock, SystemClock};
use chrono::TimeDelta;

use super::platform::Platform;
use crate::support::{Setup, TestDaemon, needs_postgres};

/// The clock of a host, and by how many seconds it is wrong.
fn wrong_clock(by: i64) -> (Arc<dyn Clock>, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(by));
    let (right, wrong_by) = (SystemClock::shared(), seconds.clone());
    let clock = SystemClock::of_wall_clock(move || {
        right.now() + TimeDelta::seconds(wrong_by.load(Ordering::Relaxed))
    });
    (clock, seconds)
}

async fn epochs(daemon: &TestDaemon) -> Vec<String> {
    let query = "SELECT epoch::text FROM connection_leases ORDER BY connection_id";
    daemon.database.texts(query, 0).await
}

#[tokio::test]
async fn nodes_whose_clocks_are_ten_minutes_apart_work_as_one() {
    needs_postgres();
    let (ahead, ahead_by) = wrong_clock(300);
    let (behind, behind_by) = wrong_clock(-300);
    let first = Setup::default()
        .clock(ahead)
        .set("LEASE_TTL", "15s")
        .set("SYNC_POLL_INTERVAL", "500ms")
        .start()
        .await;
    let second = first.node_with(&[], &behind).await;
    let mut platform = Platform::with_calendars(&first).await;
    platform.report_new(&first).await;
    platform.agrees_with(&first).await;
    let owners = epochs(&first).await;

    // Each is told of changes that the other one carries, before and after its host's clock jumps.
    for jump in [0, 3_600, -7_200] {
        ahead_by.fetch_add(jump, Ordering::Relaxed);
        behind_by.fetch_sub(jump, Ordering::Relaxed);
        for api in [first.service(), second.service(&first)] {
            let session = platform.session(&first);
            platform.report(&api, &session).await;
        }
        platform.agrees_with(&first).await;
    }
    assert_eq!(
        epochs(&first).await,
        owners,
        "no lease was taken from its node"
    );
    for id in &platform.connections {
        let connection = first.service().connection(platform.coach, *id).await;
        assert_eq!(connection["status"], "active");
    }
}
