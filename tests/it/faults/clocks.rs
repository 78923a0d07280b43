//! 11: clocks that are set forward and back, and the nights that have an hour less or more.

use calendar_integration::domain::{ProviderKind, Timestamp};
use calendar_integration::simulator::{FaultEffect, FaultRule};
use chrono::TimeDelta;

use super::platform::Platform;
use crate::support::{Setup, TestDaemon, eventually};

/// More than the time between two polls.
const A_POLL_LATER: TimeDelta = TimeDelta::minutes(3);

/// One change is waiting for its next attempt at each provider.
async fn failed_once(daemon: &TestDaemon, platform: &mut Platform) {
    for provider in ProviderKind::ALL {
        daemon.fail(FaultRule::once(FaultEffect::status(503)).on(provider));
    }
    platform.report_new(daemon).await;
    for id in platform.connections.clone() {
        eventually("the attempt failed", async || {
            let status = daemon.service().sync_status(id).await;
            (status["last_sync_status"] == "error").then_some(())
        })
        .await;
    }
    daemon.calendars.clear_faults();
}

async fn all_are_active(daemon: &TestDaemon, platform: &Platform) {
    for id in &platform.connections {
        let connection = daemon.service().connection(platform.coach, *id).await;
        assert_eq!(connection["status"], "active");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_an_hour_delays_nothing_by_an_hour() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    failed_once(&daemon, &mut platform).await;
    daemon.set_clock(-TimeDelta::hours(1));
    daemon.advance(A_POLL_LATER);
    platform.agrees_with(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    all_are_active(&daemon, &platform).await;
}

#[tokio::test]
async fn a_clock_that_is_set_forward_an_hour_only_means_new_tokens() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut platform = Platform::with_calendars(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    failed_once(&daemon, &mut platform).await;
    daemon.set_clock(TimeDelta::hours(1));
    platform.agrees_with(&daemon).await;
    platform.report_new(&daemon).await;
    platform.agrees_with(&daemon).await;
    all_are_active(&daemon, &platform).await;
}

#[tokio::test]
async fn nights_with_an_hour_less_or_more_change_no_time_and_no_wait() {
    // In Berlin 2 to 3 o'clock is missing in the first night, and there twice in the second.
    for night in ["2027-03-28T00:59:58Z", "2027-10-31T00:59:58Z"] {
        let daemon = Setup::with_manual_clock().start().await;
        let eve: Timestamp = night.parse().expect("a time");
        daemon.advance(eve - daemon.now());
        let mut platform = Platform::with_calendars(&daemon).await;
        failed_once(&daemon, &mut platform).await;
        daemon.advance(TimeDelta::seconds(10));
        platform.agrees_with(&daemon).await;
        for minutes in [-30, 15, 45, 75, 105] {
            let from = eve + TimeDelta::minutes(minutes);
            let session = platform.session(&daemon).between(
                &from.to_rfc3339(),
                &(from + TimeDelta::minutes(20)).to_rfc3339(),
            );
            platform.report(&daemon.service(), &session).await;
        }
        platform.agrees_with(&daemon).await;
        all_are_active(&daemon, &platform).await;
    }
}
