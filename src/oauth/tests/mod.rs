//! The client against a token endpoint that keeps state and checks what it is sent.

mod exchange;
mod refresh;
mod token_server;

use secrecy::SecretString;
use url::Url;

use self::token_server::{Answers, TokenServer};
use super::{OAuthClient, OAuthEndpoints};
use crate::domain::{ManualClock, ReauthReason, SeededEntropy, SyncFailure};
use crate::provider::http;

const SECRET: &str = "s~cret &+%";

pub(super) fn google_at(server: &Url) -> OAuthClient {
    google_with(server, SECRET, http::client().expect("a client"))
}

fn google_with(server: &Url, secret: &str, http: reqwest::Client) -> OAuthClient {
    let at = |path| server.join(path).expect("an address");
    OAuthClient::google(
        http,
        "client".to_owned(),
        &secret.into(),
        redirect(),
        OAuthEndpoints {
            authorize: at("authorize"),
            token: at("token"),
            revoke: Some(at("revoke")),
        },
    )
}

pub(super) fn microsoft_at(server: &Url) -> OAuthClient {
    OAuthClient::microsoft(
        http::client().expect("a client"),
        "client".to_owned(),
        &SECRET.into(),
        redirect(),
        server,
        "common",
    )
}

fn redirect() -> Url {
    "http://localhost/callback".parse().expect("an address")
}

fn clock() -> std::sync::Arc<ManualClock> {
    ManualClock::starting_at("2026-11-01T12:00:00Z".parse().expect("an instant"))
}

/// Begins a sign-in, consents, and returns the code and the verifier that belongs to it.
fn consent(client: &OAuthClient, server: &TokenServer) -> (SecretString, SecretString) {
    let authorization = client.authorize(&SeededEntropy::from_seed(7));
    (
        server.consent(&authorization.url).into(),
        authorization.verifier,
    )
}

#[tokio::test]
async fn a_revoked_grant_is_gone_at_the_provider_and_revoking_it_again_is_no_error() {
    let server = TokenServer::start().await;
    let (client, clock) = (google_at(&server.url), clock());
    let (code, verifier) = consent(&client, &server);
    let grant = client
        .exchange(&code, &verifier, clock.as_ref())
        .await
        .expect("a grant");
    let stored = grant.refresh_token.expect("a refresh token");
    for _ in 0..2 {
        assert_eq!(client.revoke(&stored, clock.as_ref()).await, Ok(true));
    }
    assert_eq!(
        client
            .refresh(&stored, clock.as_ref())
            .await
            .expect_err("a refusal"),
        SyncFailure::NeedsReauth(ReauthReason::GrantRefused)
    );
    server.answer_with(Answers::json(503, ""));
    assert!(client.revoke(&stored, clock.as_ref()).await.is_err());
}

#[tokio::test]
async fn microsoft_has_no_revocation_to_call() {
    let nowhere = "http://127.0.0.1:1".parse().expect("an address");
    let revoked = microsoft_at(&nowhere)
        .revoke(&"any".into(), clock().as_ref())
        .await;
    assert_eq!(revoked, Ok(false));
}

#[test]
fn a_client_prints_no_secret_and_its_calls_may_move_between_threads() {
    fn assert_send<T: Send>(_: T) {}
    let server = "http://127.0.0.1:1".parse().expect("an address");
    let (client, clock, token) = (google_at(&server), clock(), SecretString::from("t"));
    assert!(!format!("{client:?}").contains(SECRET));
    assert_send(client.exchange(&token, &token, clock.as_ref()));
    assert_send(client.refresh(&token, clock.as_ref()));
    assert_send(client.revoke(&token, clock.as_ref()));
}
