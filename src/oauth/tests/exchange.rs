//! From code to lasting access.

use chrono::TimeDelta;
use secrecy::ExposeSecret;

use super::token_server::{Answers, TokenServer};
use super::{clock, consent, google_at, microsoft_at};
use crate::domain::{Clock, SeededEntropy};
use crate::oauth::{CallbackError, ExchangeFailure};

#[tokio::test]
async fn a_code_becomes_lasting_access() {
    let server = TokenServer::start().await;
    let clock = clock();
    for client in [google_at(&server.url), microsoft_at(&server.url)] {
        let (code, verifier) = consent(&client, &server);
        let grant = client
            .exchange(&code, &verifier, clock.as_ref())
            .await
            .expect("a grant");
        assert!(server.accepts(grant.access_token.expose_secret()));
        assert!(grant.refresh_token.is_some());
        assert_eq!(grant.expires_at - clock.now(), TimeDelta::seconds(3599));
        assert!(client.missing_scopes(&grant.scopes).is_empty());
    }
}

#[tokio::test]
async fn a_code_works_once() {
    let server = TokenServer::start().await;
    let (client, clock) = (google_at(&server.url), clock());
    let (code, verifier) = consent(&client, &server);
    client
        .exchange(&code, &verifier, clock.as_ref())
        .await
        .expect("a grant");
    let failure = client
        .exchange(&code, &verifier, clock.as_ref())
        .await
        .expect_err("a refusal");
    assert_eq!(failure, ExchangeFailure::CodeRefused);
    assert_eq!(failure.callback_error(), CallbackError::ExchangeFailed);
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let server = TokenServer::start().await;
    let client = google_at(&server.url);
    let (code, _) = consent(&client, &server);
    let other = client.authorize(&SeededEntropy::from_seed(8)).verifier;
    let failure = client
        .exchange(&code, &other, clock().as_ref())
        .await
        .expect_err("a refusal");
    assert_eq!(failure, ExchangeFailure::CodeRefused);
}

#[tokio::test]
async fn an_unticked_box_is_insufficient_scope() {
    let server = TokenServer::start().await;
    server.grant_only("https://www.googleapis.com/auth/userinfo.email openid");
    let client = google_at(&server.url);
    let (code, verifier) = consent(&client, &server);
    let failure = client
        .exchange(&code, &verifier, clock().as_ref())
        .await
        .expect_err("a refusal");
    assert_eq!(
        failure,
        ExchangeFailure::InsufficientScope {
            missing: vec!["https://www.googleapis.com/auth/calendar"]
        }
    );
    assert_eq!(failure.callback_error(), CallbackError::InsufficientScope);
}

#[tokio::test]
async fn access_that_cannot_be_renewed_is_no_connection() {
    let server = TokenServer::start().await;
    server.answer_with(Answers::json(
        200,
        r#"{"access_token":"a","token_type":"bearer"}"#,
    ));
    let client = google_at(&server.url);
    let (code, verifier) = consent(&client, &server);
    let failure = client
        .exchange(&code, &verifier, clock().as_ref())
        .await
        .expect_err("a refusal");
    assert_eq!(failure, ExchangeFailure::NoRefreshToken);
    assert_eq!(failure.callback_error(), CallbackError::ExchangeFailed);
}

#[tokio::test]
async fn an_exchange_the_provider_fails_is_a_provider_error() {
    let server = TokenServer::start().await;
    let client = google_at(&server.url);
    let (code, verifier) = consent(&client, &server);
    for (answer, expected) in [
        (Answers::json(503, ""), CallbackError::ProviderError),
        (
            Answers::json(401, r#"{"error":"invalid_client"}"#),
            CallbackError::ProviderError,
        ),
        (Answers::json(200, "<html>"), CallbackError::ProviderError),
        (
            Answers::json(400, r#"{"error":"access_denied"}"#),
            CallbackError::AccessDenied,
        ),
        (
            Answers::json(400, r#"{"error":"consent_required"}"#),
            CallbackError::InsufficientScope,
        ),
        (
            Answers::json(400, r#"{"error":"interaction_required"}"#),
            CallbackError::ExchangeFailed,
        ),
    ] {
        let told = format!("{answer:?}");
        server.answer_with(answer);
        let failure = client
            .exchange(&code, &verifier, clock().as_ref())
            .await
            .expect_err("a failure");
        assert_eq!(failure.callback_error(), expected, "{told}");
        assert!(!format!("{failure:?} {failure}").contains(code.expose_secret()));
    }
}
