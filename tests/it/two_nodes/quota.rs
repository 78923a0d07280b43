//! The quota of a whole project is one, however many nodes there are.

use std::time::{Duration, Instant};

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use serde_json::json;
use uuid::Uuid;

use super::{owner, two_nodes};
use crate::support::{COACH_EMAIL, Session, Setup, eventually, until};

const GOOGLE: ProviderKind = ProviderKind::Google;

#[tokio::test]
async fn two_nodes_together_keep_the_limit_of_the_project() {
    // A fifth at once, four fifths over each window: 12 units, and 24 in every second.
    let setup = Setup::default().set("GOOGLE_LIMIT_PER_PROJECT", "60/2s");
    let Some((first, second)) = two_nodes(setup).await else {
        return;
    };
    let mut coaches = Vec::new();
    for number in 0..8 {
        let coach = Uuid::new_v4();
        let email = format!("coach{number}@example.com");
        let id = first.connect(GOOGLE, coach, &email).await;
        first.service().settled(id).await;
        if number % 2 == 1 {
            let path = format!("connections/{id}/test");
            second.service(&first).post(&path, None).await.expect(200);
        }
        coaches.push((coach, email, id));
    }
    let (even, odd) = (
        owner(&first, coaches[0].2).await,
        owner(&first, coaches[1].2).await,
    );
    assert_ne!(even, odd, "each node has half of them");
    let started = Instant::now();
    for (coach, ..) in &coaches {
        let items: Vec<_> = (0..17)
            .map(|_| Session::tomorrow(*coach, first.now()).item())
            .collect();
        let batch = json!({"appointments": items});
        first
            .service()
            .post("appointments/batch", Some(&batch))
            .await
            .expect(200);
    }
    until("all are there", || {
        coaches
            .iter()
            .all(|(_, email, _)| first.events(GOOGLE, email).len() == 17)
    })
    .await;
    // With the whole quota each, they would be done in half of it.
    let least = Duration::from_secs_f64((8.0 * 17.0 - 12.0) / 24.0);
    let took = started.elapsed();
    assert!(took >= least, "{took:?} is less than {least:?}");
}

#[tokio::test]
async fn a_provider_that_refuses_everybody_is_left_alone_by_both() {
    let Some((first, second)) = two_nodes(Setup::default()).await else {
        return;
    };
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let id = first.connect(GOOGLE, one, COACH_EMAIL).await;
    let theirs = first.connect(GOOGLE, other, "other@example.com").await;
    for id in [id, theirs] {
        first.service().settled(id).await;
    }
    let path = format!("connections/{theirs}/test");
    second.service(&first).post(&path, None).await.expect(200);
    let limited = FaultEffect::Status {
        status: 403,
        code: Some("dailyLimitExceeded".to_owned()),
        retry_after: Some("600".to_owned()),
    };
    first.fail(
        FaultRule::once(limited)
            .of(COACH_EMAIL)
            .at(CallKind::Create),
    );
    let session = Session::tomorrow(one, first.now());
    first.service().report(&session).await;
    let refused = "SELECT provider FROM provider_limits \
                   WHERE limited_until > clock_timestamp() + interval '9 minutes'";
    eventually("the other node can know", async || {
        (first.database.texts(refused, 0).await == ["google"]).then_some(())
    })
    .await;
    eventually("the other node waits too", async || {
        let session = Session::tomorrow(other, first.now());
        second.service(&first).report(&session).await;
        let waiting = format!(
            "SELECT connection_id::text FROM connection_leases WHERE connection_id = '{theirs}' \
             AND not_before > clock_timestamp() + interval '9 minutes'"
        );
        let waits = first.database.texts(&waiting, 0).await;
        (!waits.is_empty()).then_some(())
    })
    .await;
}
