//! Scripted faults, chaos, the control API and the week view.

use std::time::Duration;

use serde_json::json;

use crate::domain::ProviderKind;
use crate::simulator::{BatchForm, CallKind, FaultEffect, FaultRule};

use super::{APPOINTMENT, Bench, COACH, google_event, reason, send};

const EVENTS: &str = "calendars/primary/events";

fn script(bench: &Bench, rule: FaultRule) {
    bench
        .simulator
        .handle()
        .add_fault(rule)
        .expect("there is room");
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect() {
    let bench = Bench::start().await;
    script(
        &bench,
        FaultRule::once(FaultEffect::AnswerLost).at(CallKind::Create),
    );
    let insert = || bench.google("POST", EVENTS).json(&google_event("abc123"));
    assert!(insert().send().await.is_err());
    let (status, body) = send(insert()).await;
    assert_eq!((status, reason(&body)), (409, "duplicate"));
    assert_eq!(
        bench
            .simulator
            .handle()
            .creates_of(ProviderKind::Google, "abc123"),
        1
    );
}

#[tokio::test]
async fn a_cut_connection_leaves_no_effect_and_harms_nobody_else() {
    let bench = Bench::start().await;
    script(
        &bench,
        FaultRule::once(FaultEffect::ResetBeforeAnswer).at(CallKind::Create),
    );
    let insert = bench.google("POST", EVENTS).json(&google_event("abc123"));
    let others = (0..8).map(|_| send(bench.google("GET", EVENTS)));
    let (cut, others) = tokio::join!(insert.send(), futures::future::join_all(others));
    assert!(cut.is_err());
    assert!(others.iter().all(|(status, _)| *status == 200));
    assert_eq!(bench.simulator.handle().effect_count(), 0);
}

#[tokio::test]
async fn an_answer_can_end_in_the_middle_or_never_come() {
    let bench = Bench::start().await;
    script(&bench, FaultRule::once(FaultEffect::ResetMidBody));
    let answer = bench.google("GET", EVENTS).send().await.expect("a head");
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
    script(&bench, FaultRule::once(FaultEffect::Hang));
    let hanging = bench
        .google("GET", EVENTS)
        .timeout(Duration::from_millis(50));
    assert!(hanging.send().await.is_err_and(|error| error.is_timeout()));
}

#[tokio::test]
async fn garbage_comes_in_many_forms() {
    let bench = Bench::start().await;
    for effect in [
        FaultEffect::Html,
        FaultEffect::Empty,
        FaultEffect::TruncatedJson,
        FaultEffect::GzipBomb { megabytes: 20 },
    ] {
        script(&bench, FaultRule::once(effect.clone()));
        let answer = bench.google("GET", EVENTS).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = answer.bytes().await.expect("a body");
        assert!(
            serde_json::from_slice::<serde_json::Value>(&body).is_err(),
            "{effect:?}"
        );
    }
    script(&bench, FaultRule::once(FaultEffect::WrongTypes));
    let (_, twisted) = send(bench.google("GET", EVENTS)).await;
    assert_eq!(twisted["kind"], 7);
    script(
        &bench,
        FaultRule::once(FaultEffect::HugeBody { megabytes: 3 }),
    );
    let huge = bench.google("GET", EVENTS).send().await.expect("an answer");
    assert_eq!(huge.bytes().await.expect("a body").len(), 3 << 20);
    script(
        &bench,
        FaultRule::once(FaultEffect::Trickle {
            bytes: 100,
            every_ms: 1,
        }),
    );
    assert_eq!(
        send(bench.google("GET", EVENTS)).await.1["kind"],
        "calendar#events"
    );
}

fn graph_batch(bench: &Bench) -> reqwest::RequestBuilder {
    let items: Vec<_> = ["1", "2", "3", "4"]
        .iter()
        .map(|id| {
            json!({
                "id": id,
                "method": "POST",
                "url": "/me/events",
                "headers": {"Content-Type": "application/json"},
                "body": super::graph_event(id),
            })
        })
        .collect();
    bench
        .graph("POST", "$batch")
        .json(&json!({"requests": items}))
}

#[tokio::test]
async fn half_a_batch_is_carried_out() {
    let bench = Bench::start().await;
    script(
        &bench,
        FaultRule::once(FaultEffect::HalfBatch { missing: true }),
    );
    let (_, body) = send(graph_batch(&bench)).await;
    assert_eq!(body["responses"].as_array().map(Vec::len), Some(2));
    assert_eq!(bench.simulator.handle().effect_count(), 2);
    let form = BatchForm::Duplicate;
    script(&bench, FaultRule::once(FaultEffect::BatchAnswer { form }));
    let (_, body) = send(graph_batch(&bench)).await;
    assert_eq!(body["responses"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        bench.simulator.handle().effect_count(),
        4,
        "transaction ids held"
    );
}

#[tokio::test]
async fn a_part_of_a_batch_meets_its_own_fault() {
    let bench = Bench::start().await;
    script(
        &bench,
        FaultRule::once(FaultEffect::AnswerLost).at(CallKind::Create),
    );
    let (_, body) = send(graph_batch(&bench)).await;
    let answers = body["responses"].as_array().expect("answers");
    let failed = answers
        .iter()
        .filter(|answer| answer["status"] == 503)
        .count();
    assert_eq!(failed, 1);
    assert_eq!(bench.simulator.handle().effect_count(), 4);
}

#[tokio::test]
async fn the_control_api_scripts_edits_and_tells() {
    let bench = Bench::start().await;
    let post = |path: &str, body: serde_json::Value| {
        send(
            bench
                .client
                .post(bench.url(&format!("/control/{path}")))
                .json(&body),
        )
    };
    let rule = json!({
        "operation": "create",
        "times": 1,
        "effect": {"kind": "status", "status": 429, "retry_after": "soon"},
    });
    assert_eq!(post("faults", rule).await.0, 200);
    let insert = || bench.google("POST", EVENTS).json(&google_event("abc123"));
    let answer = insert().send().await.expect("an answer");
    assert_eq!(answer.headers()["retry-after"], "soon");
    assert_eq!(send(insert()).await.0, 200);
    let edit = json!({
        "provider": "google",
        "account": COACH,
        "event": {"appointment_id": APPOINTMENT},
        "edit": {"kind": "delete"},
    });
    assert_eq!(post("edit", edit.clone()).await.0, 200);
    assert_eq!(post("edit", edit).await.0, 404);
    let get = |path: &str| send(bench.client.get(bench.url(&format!("/control/{path}"))));
    let (_, ledger) = get("ledger?after=1").await;
    assert_eq!(ledger["effects"][0]["operation"], "delete");
    assert_eq!(ledger["effects"][0]["actor"], "person");
    let (_, state) = get("state").await;
    assert_eq!(state["totals"]["google"]["create"], 1);
    let (_, receipt) = get(&format!("receipt?appointment_id={APPOINTMENT}")).await;
    assert_eq!(receipt["received_micros"], 0);
    assert_eq!(post("reset", json!({})).await.0, 200);
    assert!(bench.simulator.handle().accounts().is_empty());
}

#[tokio::test]
async fn chaos_strikes_about_as_often_as_told() {
    let bench = Bench::start().await;
    bench.simulator.handle().chaos(0.3, 11);
    let mut failed = 0;
    for _ in 0..200 {
        let answer = bench.google("GET", EVENTS).send().await;
        failed += usize::from(answer.is_err());
    }
    let calls = bench.simulator.handle().calls();
    let fine: u64 = calls
        .iter()
        .filter(|c| c.status == 200)
        .map(|c| c.count)
        .sum();
    assert!((110..170).contains(&fine), "{calls:?}");
    assert!(failed > 0);
}

#[tokio::test]
async fn the_week_shows_events_with_their_texts_escaped() {
    let bench = Bench::start().await;
    let mut event = google_event("abc123");
    event["summary"] = json!("<script>alert(1)</script>");
    send(bench.google("POST", EVENTS).json(&event)).await;
    let url = bench.url(&format!("/week?account={COACH}&date=2027-03-03"));
    let page = bench.client.get(url).send().await.expect("a page");
    let page = page.text().await.expect("a body");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("10:00–11:00"));
    assert!(!page.contains("<script>alert"));
    let (_, sheets) = send(bench.client.get(bench.url("/week.json?date=2027-03-01"))).await;
    assert_eq!(sheets[0]["blocks"][0]["from"], 600);
}

#[tokio::test]
async fn trouble_is_made_and_ended_at_a_button_beside_the_week() {
    let bench = Bench::start().await;
    let press = |form: &'static [(&'static str, &'static str)]| {
        let request = bench.client.post(bench.url("trouble")).form(form);
        async move { send(request).await.0 }
    };
    let list = || send(bench.google("GET", EVENTS));
    let week = bench.client.get(bench.url("week")).send().await;
    let week = week.expect("an answer").text().await.expect("a page");
    assert!(week.contains("Make trouble"), "{week}");

    assert_eq!(
        press(&[("provider", "google"), ("what", "outage")]).await,
        302
    );
    assert_eq!(list().await.0, 503);
    // The other provider has none of it.
    let others = send(bench.graph("GET", "me/calendars")).await;
    assert_eq!(others.0, 200);
    assert_eq!(press(&[("what", "end")]).await, 302);
    assert_eq!(list().await.0, 200);
    assert_eq!(
        press(&[("provider", "google"), ("what", "revoke")]).await,
        302
    );
    assert_eq!(list().await.0, 401);
    for form in [
        &[("provider", "nobody"), ("what", "outage")][..],
        &[("provider", "google"), ("what", "flood")][..],
        &[("what", "outage")][..],
    ] {
        assert_eq!(press(form).await, 400, "{form:?}");
    }
}
