//! 5: no room on the disk of a SQLite file. Needs SQLite.
//!
//! The limit on the size of files stands for the full disk: it can be set from outside, wherever the
//! tests run, and lifted again. (That a file which only reads is waited for, too, `store::error` tests.)

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use rustix::process::Resource;

use super::platform::Platform;
use crate::support::{COACH_EMAIL, RealDaemon, TestDaemon, needs_sqlite, until};

#[tokio::test]
async fn a_full_disk_refuses_reports_loses_none_and_doubles_no_event() {
    needs_sqlite();
    let mut daemon = TestDaemon::start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    daemon.stop().await;
    // Instead of ending the process, a write beyond the limit fails as on a full disk.
    let process = RealDaemon::start(&daemon, &[], "trap '' XFSZ").await;
    let api = process.service(&daemon);

    // Created, but the answer is on its way when the disk is full: the settle fails.
    let slow = FaultEffect::Trickle {
        bytes: 64,
        every_ms: 50,
    };
    for kind in [CallKind::Create, CallKind::Batch] {
        daemon.fail(FaultRule::always(slow.clone()).at(kind));
    }
    let session = platform.session(&daemon);
    platform.report(&api, &session).await;
    for provider in ProviderKind::ALL {
        until("the event is there", || {
            daemon.events(provider, COACH_EMAIL).len() == 2
        })
        .await;
    }
    process.limit(Resource::Fsize, Some(0));
    for _ in 0..3 {
        platform.is_refused(&daemon, &api).await;
    }
    daemon.calendars.clear_faults();
    api.get("/health/live").await.expect(200);

    process.limit(Resource::Fsize, None);
    platform.report_refused(&api).await;
    platform.agrees_with(&daemon).await;
    for id in &platform.connections {
        api.settled(*id).await;
    }
    platform.agrees_with(&daemon).await;
    process.stop().await;
}
