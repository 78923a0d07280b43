//! How much a caller, an address and a guesser of tokens may ask, and what they are told.

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Api, Browser, COACH_EMAIL, Consent, Reply, Setup, TestDaemon, parameter, until,
};

/// A refusal, and after how many seconds to come back.
fn refused(reply: Reply, code: &str) -> u64 {
    let wait = reply.header("retry-after").expect("a time to come back");
    let wait = wait.parse().expect("whole seconds");
    assert_eq!(reply.problem(429), code);
    wait
}

#[tokio::test]
async fn a_caller_who_asks_too_much_waits_and_no_other_does() {
    let setup = Setup::with_manual_clock().set("REQUEST_LIMIT_PER_COACH", "5/1m");
    let daemon = setup.start().await;
    let (busy, calm) = (Uuid::new_v4(), Uuid::new_v4());
    let own = format!("connections/{busy}");
    let coach = daemon.coach(busy);
    for _ in 0..5 {
        coach.get(&own).await.expect(200);
    }
    let wait = refused(coach.get(&own).await, "too_many_requests");
    assert_eq!(wait, 12);

    let others = format!("connections/{calm}");
    daemon.coach(calm).get(&others).await.expect(200);
    daemon.service().get(&own).await.expect(200);
    daemon.admin().get(&own).await.expect(200);

    daemon.advance(TimeDelta::seconds(12));
    coach.get(&own).await.expect(200);
    refused(coach.get(&own).await, "too_many_requests");
}

#[tokio::test]
async fn an_address_is_counted_before_anybody_is_believed() {
    let setup = Setup::with_manual_clock().set("REQUEST_LIMIT_PER_ADDRESS", "4/1m");
    let daemon = setup.start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(ProviderKind::Google, coach, "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;

    let nobody = daemon.nobody();
    for path in ["/openapi.json", "/no/such/page", "queue"] {
        assert_ne!(nobody.get(path).await.status, 429, "{path}");
    }
    for api in [daemon.nobody(), daemon.admin()] {
        for path in ["/openapi.json", "/no/such/page", "queue"] {
            assert_eq!(refused(api.get(path).await, "too_many_requests"), 15);
        }
        // Whoever probes must not think that it is dead.
        for path in ["/health/live", "/health/ready"] {
            api.get(path).await.expect(200);
        }
    }

    // A page cannot be shown a problem: it is sent back, and may come again.
    let end = browser.come_back(&callback).await;
    assert_eq!(parameter(&end, "error").as_deref(), Some("exchange_failed"));
    daemon.advance(TimeDelta::minutes(1));
    let end = browser.come_back(&callback).await;
    assert_eq!(parameter(&end, "success").as_deref(), Some("connected"));
}

async fn from_address(daemon: &TestDaemon, address: &str) -> Reply {
    let request = reqwest::Client::builder().build().expect("a client");
    let url = daemon.url().join("/openapi.json").expect("a path");
    let answer = request.request(Method::GET, url);
    let answer = answer.header("x-forwarded-for", address).send().await;
    let answer = answer.expect("an answer");
    Reply {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.text().await.expect("a body"),
    }
}

#[tokio::test]
async fn a_proxy_speaks_for_its_clients_only_if_it_is_trusted() {
    let limited = || Setup::with_manual_clock().set("REQUEST_LIMIT_PER_ADDRESS", "1/1m");
    let trusting = limited()
        .set("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    for address in ["198.51.100.1", "198.51.100.2", "evil, 198.51.100.3"] {
        assert_eq!(from_address(&trusting, address).await.status, 200);
        let again = from_address(&trusting, address).await;
        refused(again, "too_many_requests");
    }
    let careful = limited().start().await;
    assert_eq!(from_address(&careful, "198.51.100.1").await.status, 200);
    let another = from_address(&careful, "198.51.100.2").await;
    refused(another, "too_many_requests");
}

#[tokio::test]
async fn bad_tokens_are_told_so_ever_later_and_good_ones_are_heard_at_once() {
    let daemon = Setup::with_manual_clock().start().await;
    let guesser = daemon.nobody().with_token("no.such.token");
    let guess = async || guesser.get("queue").await;
    for _ in 0..10 {
        assert_eq!(guess().await.problem(401), "unauthorized");
    }
    for milliseconds in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
        let began = daemon.now();
        let late = tokio::spawn({
            let guesser = guesser.clone();
            async move { guesser.get("queue").await }
        });
        daemon.admin().get("queue").await.expect(200);
        // No token is no guess.
        assert_eq!(daemon.nobody().get("queue").await.status, 401);
        until("it is told", || {
            daemon.advance(TimeDelta::milliseconds(100));
            late.is_finished()
        })
        .await;
        assert!(daemon.now() - began >= TimeDelta::milliseconds(milliseconds));
        assert_eq!(late.await.expect("no panic").problem(401), "unauthorized");
    }
    daemon.advance(TimeDelta::minutes(20));
    for _ in 0..10 {
        assert_eq!(guess().await.problem(401), "unauthorized");
    }
}

#[tokio::test]
async fn a_token_that_has_expired_is_told_so_however_often_it_comes() {
    let daemon = Setup::with_manual_clock().start().await;
    let coach = Uuid::new_v4();
    let old: Api = daemon.coach(coach);
    daemon.advance(TimeDelta::days(101));
    for _ in 0..30 {
        let reply = old.get(&format!("connections/{coach}")).await;
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("expired"), "{challenge}");
        assert_eq!(reply.problem(401), "unauthorized");
    }
}

#[tokio::test]
async fn every_guarded_operation_documents_when_to_come_back() {
    let daemon = TestDaemon::start().await;
    let document: Value = daemon.nobody().get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths");
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().expect("operations") {
            let is_guarded = operation["security"] != json!([]);
            let answer = operation["responses"].get("429");
            assert_eq!(is_guarded, answer.is_some(), "{method} {path}");
            let Some(answer) = answer else { continue };
            assert!(answer["headers"]["Retry-After"].is_object());
            assert!(answer.to_string().contains("too_many_requests"));
        }
    }
}
