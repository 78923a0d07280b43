//! 4: a SQLite file that another process has locked. Needs SQLite.

use super::platform::Platform;
use crate::support::{RealDaemon, TestDaemon, needs_sqlite};

#[tokio::test]
async fn a_file_that_another_process_writes_is_waited_for_and_then_the_caller_told() {
    needs_sqlite();
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    daemon.stop().await;
    let process = RealDaemon::start(&daemon, &[], "").await;
    let api = process.service(&daemon);
    let held = daemon.database.hold("SELECT 1").await;
    platform.is_refused(&daemon, &api).await;
    held.let_go().await;
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
    process.stop().await;
}
