//! Renewing access, and what each way of failing at it means.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::token_server::{Answers, TokenServer};
use super::{SECRET, clock, consent, google_at, google_with, microsoft_at};
use crate::domain::{Clock, FailureCode, RateScope, ReauthReason, SyncFailure};
use crate::provider::http;

async fn refresh_answered(answer: Answers) -> SyncFailure {
    let server = TokenServer::start().await;
    server.answer_with(answer);
    let failure = google_at(&server.url)
        .refresh(&"refresh-1".into(), clock().as_ref())
        .await
        .expect_err("a failure");
    assert!(!format!("{failure:?} {failure}").contains("refresh-1"));
    failure
}

#[tokio::test]
async fn a_refresh_without_rotation_leaves_the_stored_token_in_force() {
    let server = TokenServer::start().await;
    let (client, clock) = (google_at(&server.url), clock());
    let (code, verifier) = consent(&client, &server);
    let first = client
        .exchange(&code, &verifier, clock.as_ref())
        .await
        .expect("a grant");
    let stored = first.refresh_token.expect("a refresh token");
    for _ in 0..2 {
        let grant = client
            .refresh(&stored, clock.as_ref())
            .await
            .expect("a grant");
        assert!(grant.refresh_token.is_none());
        assert!(server.accepts(grant.access_token.expose_secret()));
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_replaces_the_stored_one() {
    let server = TokenServer::start().await;
    server.rotate();
    let (client, clock) = (microsoft_at(&server.url), clock());
    let (code, verifier) = consent(&client, &server);
    let first = client
        .exchange(&code, &verifier, clock.as_ref())
        .await
        .expect("a grant");
    let stored = first.refresh_token.expect("a refresh token");
    let grant = client
        .refresh(&stored, clock.as_ref())
        .await
        .expect("a grant");
    let rotated = grant.refresh_token.expect("a new refresh token");
    assert_ne!(rotated.expose_secret(), stored.expose_secret());
    client
        .refresh(&rotated, clock.as_ref())
        .await
        .expect("the new one works");
    assert_eq!(
        client
            .refresh(&stored, clock.as_ref())
            .await
            .expect_err("the old one does not"),
        SyncFailure::NeedsReauth(ReauthReason::GrantRefused)
    );
}

#[tokio::test]
async fn a_wrong_secret_is_the_operators_affair() {
    let server = TokenServer::start().await;
    let client = google_with(&server.url, "wrong", http::client().expect("a client"));
    let failure = client
        .refresh(&"refresh-1".into(), clock().as_ref())
        .await
        .expect_err("a refusal");
    assert_eq!(failure.code(), FailureCode::ClientRejected);
    assert!(matches!(failure, SyncFailure::Operator { .. }));
}

#[tokio::test]
async fn an_empty_stored_token_needs_a_sign_in_and_no_call() {
    let nowhere = "http://127.0.0.1:1".parse().expect("an address");
    let failure = google_at(&nowhere)
        .refresh(&"".into(), clock().as_ref())
        .await;
    assert_eq!(
        failure.expect_err("a refusal"),
        SyncFailure::NeedsReauth(ReauthReason::GrantRefused)
    );
}

#[tokio::test]
async fn each_refusal_of_a_refresh_leads_where_it_should() {
    for (error, reason) in [
        ("invalid_grant", ReauthReason::GrantRefused),
        ("interaction_required", ReauthReason::PolicyRequires),
        ("login_required", ReauthReason::PolicyRequires),
        ("consent_required", ReauthReason::ScopeMissing),
        ("invalid_scope", ReauthReason::ScopeMissing),
    ] {
        let failure = refresh_answered(Answers::error(error)).await;
        assert_eq!(failure, SyncFailure::NeedsReauth(reason), "{error}");
    }
    for (error, code) in [
        ("invalid_client", FailureCode::ClientRejected),
        ("unauthorized_client", FailureCode::ClientRejected),
        ("invalid_request", FailureCode::RequestRejected),
        ("unsupported_grant_type", FailureCode::RequestRejected),
    ] {
        let failure = refresh_answered(Answers::error(error)).await;
        assert!(matches!(failure, SyncFailure::Operator { .. }), "{error}");
        assert_eq!(failure.code(), code, "{error}");
    }
}

#[tokio::test]
async fn trouble_at_the_provider_is_retried() {
    let huge = format!(
        r#"{{"access_token":"{}"}}"#,
        "a".repeat(http::MAX_BODY_BYTES)
    );
    for (answer, code) in [
        (
            Answers::error("temporarily_unavailable"),
            FailureCode::ServerError,
        ),
        (Answers::error("server_error"), FailureCode::ServerError),
        (Answers::json(500, "{}"), FailureCode::ServerError),
        (
            Answers::json(502, "<html>bad gateway</html>"),
            FailureCode::ServerError,
        ),
        (Answers::json(200, "garbage"), FailureCode::BadAnswer),
        (Answers::json(200, ""), FailureCode::BadAnswer),
        (
            Answers::json(200, r#"{"error":"invalid_grant"}"#),
            FailureCode::BadAnswer,
        ),
        (
            Answers::json(200, r#"{"access_token":"a","token_type":"mac"}"#),
            FailureCode::BadAnswer,
        ),
        (Answers::json(400, "garbage"), FailureCode::BadAnswer),
        (Answers::json(200, &huge), FailureCode::BadAnswer),
        (
            Answers::json(200, "{}").with_header("content-type", "text/html"),
            FailureCode::BadAnswer,
        ),
    ] {
        let failure = refresh_answered(answer).await;
        assert!(
            matches!(failure, SyncFailure::Retryable { .. }),
            "{failure:?}"
        );
        assert_eq!(failure.code(), code, "{failure:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_or_never_was_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let cut = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a caller");
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":";
        socket.write_all(half).await.expect("half an answer");
    });
    let client = google_at(&format!("http://{address}").parse().expect("an address"));
    for _ in 0..2 {
        let failure = client.refresh(&"refresh-1".into(), clock().as_ref()).await;
        assert_eq!(failure.expect_err("a failure").code(), FailureCode::Network);
    }
    cut.await.expect("the first call was answered by half");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = TokenServer::start().await;
    let elsewhere = server.url.join("elsewhere").expect("an address");
    server.answer_with(Answers::json(307, "").with_header("location", elsewhere.as_str()));
    let failure = google_at(&server.url)
        .refresh(&"refresh-1".into(), clock().as_ref())
        .await;
    assert_eq!(
        failure.expect_err("a failure").code(),
        FailureCode::BadAnswer
    );
    assert!(!server.was_led_elsewhere());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on() {
    let server = TokenServer::start().await;
    server.answer_with(Answers::Never);
    let impatient = reqwest::Client::builder()
        .timeout(Duration::from_millis(50))
        .build()
        .expect("a client");
    let client = google_with(&server.url, SECRET, impatient);
    let failure = client.refresh(&"refresh-1".into(), clock().as_ref()).await;
    assert_eq!(failure.expect_err("a failure").code(), FailureCode::Timeout);
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let until = Some(clock().now() + TimeDelta::seconds(30));
    for (status, wait, until) in [
        (429, Some("30"), until),
        (429, Some("Sun, 01 Nov 2026 12:00:30 GMT"), until),
        (429, Some("soon"), None),
        (429, None, None),
        (503, Some("30"), until),
    ] {
        let answer = Answers::json(status, "slow down");
        let answer = match wait {
            Some(wait) => answer.with_header("retry-after", wait),
            None => answer,
        };
        let scope = RateScope::Connection;
        assert_eq!(
            refresh_answered(answer).await,
            SyncFailure::RateLimited { until, scope }
        );
    }
}
