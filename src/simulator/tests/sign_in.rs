//! Consent, codes, tokens and their end.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::ProviderKind;
use crate::simulator::{Limits, SimulatorConfig};

use super::{Bench, COACH, send};

const BACK: &str = "http://localhost:3001/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-allowed-by-rfc-7636";
const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";
const LIST: &str = "https://www.googleapis.com/auth/calendar.calendarlist.readonly";

fn authorize(bench: &Bench, provider: ProviderKind, more: &[(&str, &str)]) -> Url {
    let (path, client, scope) = match provider {
        ProviderKind::Google => (
            "/google/o/oauth2/v2/auth",
            "demo-google-client",
            format!("openid email {EVENTS} {LIST}"),
        ),
        ProviderKind::Outlook => (
            "/microsoft/login/common/oauth2/v2.0/authorize",
            "demo-microsoft-client",
            "openid offline_access User.Read Calendars.ReadWrite".to_owned(),
        ),
    };
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER));
    let mut url = Url::parse(&bench.url(path)).expect("a url");
    url.query_pairs_mut()
        .append_pair("client_id", client)
        .append_pair("redirect_uri", BACK)
        .append_pair("response_type", "code")
        .append_pair("scope", &scope)
        .append_pair("state", "s1")
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(more);
    url
}

/// Posts the consent page; answers the query of the way back.
async fn consent(bench: &Bench, url: Url, form: &[(&str, &str)]) -> Vec<(String, String)> {
    let answer = bench
        .client
        .post(url)
        .form(form)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("text");
    let back = Url::parse(location).expect("a url");
    assert!(location.starts_with(BACK));
    back.query_pairs().into_owned().collect()
}

fn value<'a>(query: &'a [(String, String)], name: &str) -> &'a str {
    let pair = query.iter().find(|(key, _)| key == name);
    pair.map(|(_, value)| value.as_str()).unwrap_or_default()
}

async fn tokens(bench: &Bench, provider: ProviderKind, fields: &[(&str, &str)]) -> (u16, Value) {
    let (path, client, secret) = match provider {
        ProviderKind::Google => ("/google/token", "demo-google-client", "demo-google-secret"),
        ProviderKind::Outlook => (
            "/microsoft/login/common/oauth2/v2.0/token",
            "demo-microsoft-client",
            "demo-microsoft-secret",
        ),
    };
    let mut form = vec![("client_id", client), ("client_secret", secret)];
    // A field of the test's own replaces the usual one.
    form.retain(|(name, _)| fields.iter().all(|(other, _)| other != name));
    form.extend(fields);
    send(bench.client.post(bench.url(path)).form(&form)).await
}

async fn exchange(bench: &Bench, provider: ProviderKind, code: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    tokens(bench, provider, &fields).await
}

async fn refresh(bench: &Bench, provider: ProviderKind, token: &str) -> (u16, Value) {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    tokens(bench, provider, &fields).await
}

const ALLOW: [(&str, &str); 2] = [("account", "new@example.com"), ("decision", "allow")];

#[tokio::test]
async fn google_gives_a_refresh_token_on_first_or_forced_consent_only() {
    let bench = Bench::start().await;
    let google = ProviderKind::Google;
    for (more, expected) in [
        (&[("access_type", "offline")][..], true),
        (&[("access_type", "offline")], false),
        (&[("access_type", "offline"), ("prompt", "consent")], true),
    ] {
        let back = consent(&bench, authorize(&bench, google, more), &ALLOW).await;
        assert_eq!(value(&back, "state"), "s1");
        let (status, body) = exchange(&bench, google, value(&back, "code")).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["refresh_token"].is_string(), expected, "{more:?}");
        assert!(body["id_token"].is_string());
    }
}

#[tokio::test]
async fn a_code_works_once_and_not_for_long_and_only_with_its_verifier() {
    let bench = Bench::start().await;
    for provider in ProviderKind::ALL {
        let back = consent(&bench, authorize(&bench, provider, &[]), &ALLOW).await;
        let code = value(&back, "code");
        assert_eq!(exchange(&bench, provider, code).await.0, 200);
        let (status, body) = exchange(&bench, provider, code).await;
        assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
        let back = consent(&bench, authorize(&bench, provider, &[]), &ALLOW).await;
        let wrong = [
            ("grant_type", "authorization_code"),
            ("code", value(&back, "code")),
            ("redirect_uri", BACK),
            ("code_verifier", "another"),
        ];
        assert_eq!(tokens(&bench, provider, &wrong).await.0, 400);
        let back = consent(&bench, authorize(&bench, provider, &[]), &ALLOW).await;
        bench.clock.advance(Duration::from_secs(600));
        let (status, _) = exchange(&bench, provider, value(&back, "code")).await;
        assert_eq!(status, 400);
    }
}

#[tokio::test]
async fn only_ticked_scopes_are_granted_and_none_ticked_is_a_refusal() {
    let bench = Bench::start().await;
    let google = ProviderKind::Google;
    let mut form = ALLOW.to_vec();
    form.extend([("granular", "1"), ("scope", EVENTS)]);
    let back = consent(&bench, authorize(&bench, google, &[]), &form).await;
    let (_, body) = exchange(&bench, google, value(&back, "code")).await;
    let scope = body["scope"].as_str().expect("scopes");
    assert!(scope.contains(EVENTS) && !scope.contains(LIST));
    let token = body["access_token"].as_str().expect("a token");
    let list = bench.url("/google/calendar/v3/users/me/calendarList");
    let (status, body) = send(bench.client.get(list).bearer_auth(token)).await;
    assert_eq!(
        (status, super::reason(&body)),
        (403, "insufficientPermissions")
    );
    form.retain(|(name, _)| *name != "scope");
    let back = consent(&bench, authorize(&bench, google, &[]), &form).await;
    assert_eq!(value(&back, "error"), "access_denied");
}

#[tokio::test]
async fn a_wrong_secret_and_a_strange_return_address_are_refused() {
    let bench = Bench::start().await;
    for provider in ProviderKind::ALL {
        let (status, body) = tokens(&bench, provider, &[("client_secret", "wrong")]).await;
        assert_eq!((status, &body["error"]), (401, &"invalid_client".into()));
        let mut url = authorize(&bench, provider, &[]);
        let query = url
            .query()
            .expect("a query")
            .replace("localhost", "evil.example");
        url.set_query(Some(&query));
        let answer = bench.client.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 400);
    }
}

#[tokio::test]
async fn microsoft_rotates_and_may_end_the_old_token_at_once() {
    for strict in [false, true] {
        let limits = Limits {
            microsoft_strict_rotation: strict,
            ..Limits::default()
        };
        let bench = Bench::with(SimulatorConfig {
            limits,
            ..SimulatorConfig::default()
        })
        .await;
        let outlook = ProviderKind::Outlook;
        let back = consent(&bench, authorize(&bench, outlook, &[]), &ALLOW).await;
        let (_, first) = exchange(&bench, outlook, value(&back, "code")).await;
        let old = first["refresh_token"].as_str().expect("a token");
        let (status, second) = refresh(&bench, outlook, old).await;
        assert_eq!(status, 200);
        assert_ne!(second["refresh_token"], old);
        let expected = if strict { 400 } else { 200 };
        assert_eq!(refresh(&bench, outlook, old).await.0, expected);
    }
}

#[tokio::test]
async fn access_ends_by_the_clock_and_by_revocation() {
    let bench = Bench::start().await;
    let google = ProviderKind::Google;
    let url = authorize(&bench, google, &[("access_type", "offline")]);
    let back = consent(&bench, url, &ALLOW).await;
    let (_, body) = exchange(&bench, google, value(&back, "code")).await;
    let token = body["refresh_token"].as_str().expect("a token");
    let (status, fresh) = refresh(&bench, google, token).await;
    assert_eq!((status, &fresh["refresh_token"]), (200, &Value::Null));
    let access = fresh["access_token"].as_str().expect("a token");
    let who = || {
        let url = bench.url("/google/oauth2/v2/userinfo");
        send(bench.client.get(url).bearer_auth(access))
    };
    let (status, body) = who().await;
    assert_eq!((status, &body["email"]), (200, &"new@example.com".into()));
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(who().await.0, 401);
    let revoke = bench.client.post(bench.url("/google/revoke"));
    assert_eq!(send(revoke.form(&[("token", token)])).await.0, 200);
    let (status, body) = refresh(&bench, google, token).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    let handle = bench.simulator.handle();
    assert!(handle.revoke(ProviderKind::Outlook, COACH));
    assert_eq!(send(bench.graph("GET", "me")).await.0, 401);
}
