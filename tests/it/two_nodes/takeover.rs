//! Nodes that end, fall silent, or want the same connection.

use std::time::{Duration, Instant};

use calendar_integration::domain::{ConnectionId, NodeId, ProviderKind, WaitReason};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use calendar_integration::store::{ClaimRequest, Store};
use futures::future::join;
use uuid::Uuid;

use super::{metric, node_id, owner, two_nodes};
use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually, needs_postgres, until};

const GOOGLE: ProviderKind = ProviderKind::Google;

#[tokio::test]
async fn a_killed_nodes_work_is_taken_over_when_its_lease_ends() {
    let Some((mut first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let (service, admin) = (second.service(&first), second.admin(&first));
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    // What it did last took effect, and nobody heard of it.
    first.fail(FaultRule::once(FaultEffect::AnswerLost).at(CallKind::Create));
    let hang = first.fail(FaultRule::always(FaultEffect::Hang).at(CallKind::Get));
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    until("it was made", || first.creates(GOOGLE) == 1).await;
    let killed = Instant::now();
    first.kill();
    first.calendars.remove_fault(hang);
    service.settled(id).await;
    let took = killed.elapsed();
    first.event(GOOGLE, COACH_EMAIL, session.id, |_| true).await;
    // LEASE_TTL is two seconds; the rest is room for a busy machine.
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(first.creates(GOOGLE), 1);
    assert_eq!(owner(&first, id).await, node_id(&admin).await);
    assert!(metric(&admin, "calendar_lease_takeovers_total").await >= 1.0);
    eventually("the dead is no more counted", async || {
        (metric(&admin, "calendar_nodes_alive").await == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_for_a_node_that_died_waiting_is_done_when_its_wish_ends() {
    let Some((mut first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    let hang = first.fail(FaultRule::always(FaultEffect::Hang).at(CallKind::Create));
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    until("it was tried", || {
        first.calendars.call_count(GOOGLE, CallKind::Create) > 0
    })
    .await;
    // Both die, and the wish of the second outlasts the lease of the first.
    let waiting = node_id(&second.admin(&first)).await;
    first.kill();
    drop(second);
    let wish = format!(
        "UPDATE connection_leases SET wanted_by = '{waiting}', \
         wanted_until = clock_timestamp() + interval '5 seconds'"
    );
    first.database.run(&wish).await;
    first.calendars.remove_fault(hang);
    first.start_again().await;
    first.event(GOOGLE, COACH_EMAIL, session.id, |_| true).await;
    assert_eq!(first.creates(GOOGLE), 1);
}

#[tokio::test]
async fn a_node_that_drains_leaves_its_work_to_the_other_at_once() {
    // Nothing here can be waited for: leases last longer than the test.
    let patient = Setup::default()
        .set("LEASE_TTL", "2m")
        .set("SYNC_RETRY_BASE", "1s")
        .set("SYNC_RETRY_CAP", "1s");
    let Some((mut first, second)) = two_nodes(patient).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let (service, admin) = (second.service(&first), second.admin(&first));
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    let trouble = first.fail(FaultRule::always(FaultEffect::status(503)).at(CallKind::Create));
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    until("it was tried", || {
        first.calendars.call_count(GOOGLE, CallKind::Create) > 0
    })
    .await;
    first.stop().await;
    first.calendars.remove_fault(trouble);
    first.event(GOOGLE, COACH_EMAIL, session.id, |_| true).await;
    service.settled(id).await;
    assert_eq!(owner(&first, id).await, node_id(&admin).await);
    assert_eq!(metric(&admin, "calendar_nodes_alive").await, 1.0);
    assert_eq!(first.creates(GOOGLE), 1);
}

#[tokio::test]
async fn of_two_nodes_that_want_a_connection_at_once_one_acts() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    let (one, other) = (first.service(), second.service(&first));
    one.settled(id).await;
    for round in 1..=8 {
        // Nobody's, so that it is a race.
        let free = "UPDATE connection_leases SET node = NULL, expires_at = NULL";
        first.database.run(free).await;
        let session = Session::tomorrow(coach, first.now());
        let moved = session.clone().moved(chrono::TimeDelta::hours(2));
        join(one.report(&session), other.report(&moved)).await;
        first.event(GOOGLE, COACH_EMAIL, session.id, |_| true).await;
        one.settled(id).await;
        assert_eq!(first.creates(GOOGLE), round);
    }
    first.no_duplicates();
}

#[tokio::test]
async fn a_node_whose_lease_was_taken_over_records_nothing() {
    let slow =
        Setup::default().simulate(|config| config.limits.latency = Duration::from_millis(500));
    let Some((first, _second)) = two_nodes(slow).await else {
        return;
    };
    let coach = Uuid::new_v4();
    let id = first.connect(GOOGLE, coach, COACH_EMAIL).await;
    first.service().settled(id).await;
    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    let state = "SELECT status FROM calendar_sync_queue WHERE appointment_id IS NOT NULL";
    eventually("it is at it", async || {
        (first.database.texts(state, 0).await == ["processing"]).then_some(())
    })
    .await;
    // As if it had been paused, and another node had acted and fallen silent.
    let taken = "WITH other AS (INSERT INTO nodes (id, started_at, expires_at, share) \
                   VALUES (gen_random_uuid(), now(), now() + interval '2 seconds', 0) \
                   RETURNING id, expires_at) \
                 UPDATE connection_leases SET node = other.id, epoch = epoch + 1, \
                 expires_at = other.expires_at FROM other";
    first.database.run(taken).await;
    until("its call took effect", || first.creates(GOOGLE) == 1).await;
    let actors = eventually("it noticed", async || {
        let actors = first
            .admin()
            .get("/health/actors")
            .await
            .expect(200)
            .to_string();
        actors.contains("held by another node").then_some(actors)
    })
    .await;
    assert!(actors.contains(&id.to_string()), "{actors}");
    assert_eq!(first.database.texts(state, 0).await, ["processing"]);
    // Whoever comes next finds the event, and makes no second one.
    first.service().settled(id).await;
    first.event(GOOGLE, COACH_EMAIL, session.id, |_| true).await;
    assert_eq!(first.creates(GOOGLE), 1);
    first.no_duplicates();
}

/// A node that looks for work sees a lease of a dead one either as held, and looks again soon, or as
/// ended, and takes it; else it would come back after the slow poll only.
#[tokio::test]
async fn a_lease_that_ends_in_the_middle_of_a_look_is_not_overlooked_on_postgres() {
    needs_postgres();
    let mut daemon = TestDaemon::start().await;
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    daemon.stop().await;
    let url = daemon.database.url().into();
    let store = Store::open_beside(&url).await.expect("opened");
    let (me, now) = (NodeId(Uuid::new_v4()), daemon.now());
    let held = format!(
        "UPDATE connection_leases SET node = '{}', due_at = now() - interval '1 minute', \
         expires_at = clock_timestamp() + interval '100 milliseconds'",
        Uuid::new_v4()
    );
    for _ in 0..20 {
        daemon.database.run(&held).await;
        loop {
            let due = store.due(me, now, now, 1).await.expect("read");
            if !due.connections.is_empty() {
                break;
            }
            assert!(due.elsewhere, "neither held nor free");
        }
    }
}

/// Its last owner settles while the next one waits for the row: a limit that it stored, a moment too
/// late to be read before, is kept, and so are its failures.
#[tokio::test]
async fn what_the_last_owner_stored_while_the_lease_was_waited_for_is_kept_on_postgres() {
    needs_postgres();
    let mut daemon = TestDaemon::start().await;
    let id = daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    daemon.service().settled(id).await;
    daemon.stop().await;
    let url = daemon.database.url().into();
    let store = Store::open_beside(&url).await.expect("opened");
    let settled = "UPDATE connection_leases SET not_before = now() + interval '1 hour', \
                   wait_reason = 'limit', fruitless_rounds = 4, due_at = now()";
    let last_owner = daemon.database.hold(settled).await;
    let request = ClaimRequest {
        connection_id: ConnectionId(id),
        node: NodeId(Uuid::new_v4()),
        lease_ttl: Duration::from_secs(2),
        limit: 1,
        now: daemon.now(),
        recover: false,
    };
    let claims = async { store.claim(request).await.expect("read").expect("free") };
    let settles = async {
        eventually("the next owner waits for the row", async || {
            (daemon.database.waits_for_locks().await > 0).then_some(())
        })
        .await;
        last_owner.commit().await;
    };
    let (claim, ()) = join(claims, settles).await;
    let wait = claim.wait.expect("a wait");
    assert_eq!(wait.why, WaitReason::Limit);
    assert!(wait.until > daemon.now());
    assert_eq!(claim.breaker.fruitless, 4);
    assert!(claim.due_at.is_some());
}
