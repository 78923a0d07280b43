//! Connecting a calendar account, all the way through a simulated Google.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use url::Url;

use super::{BASE_PATH, Bench, coach, read};
use crate::domain::{Actor, ActorRole, Cause, Clock, CoachId, Origin, ProviderKind, Timestamp};
use crate::oauth::{Browser, Callback, ConnectFlow, Finished};
use crate::simulator::{CallKind, FaultEffect, FaultRule};

/// A browser with its cookie and the way to the consent screen.
pub(super) struct Visit {
    cookie: String,
    address: Url,
}

impl Bench {
    pub(super) async fn visit(&self, coach: CoachId, cookie: Option<&str>) -> Visit {
        let path = format!("/connect/google/{coach}");
        let mut ask = self.as_coach(coach, Method::GET, &path);
        if let Some(cookie) = cookie {
            ask = ask.header("Cookie", cookie);
        }
        let response = ask.send().await;
        let set = response.0.header("set-cookie").expect("a cookie");
        assert!(
            set.contains("HttpOnly; SameSite=Lax") && set.contains(&format!("Path={BASE_PATH}"))
        );
        let cookie = set.split(';').next().expect("a pair").to_owned();
        let body = read(response, StatusCode::OK).await;
        assert_eq!(body["expires_at"], "2026-11-01T12:10:00Z");
        let address = body["authorization_url"].as_str().expect("an address");
        Visit {
            cookie,
            address: address.parse().expect("an address"),
        }
    }

    /// Consents as `email`; answers the query that Google's redirect carries.
    async fn consent(&self, visit: &Visit, email: &str, decision: &str) -> String {
        let form = [("account", email), ("decision", decision)];
        let answer = self.http.post(visit.address.clone()).form(&form);
        let answer = answer.send().await.expect("an answer");
        let location = answer.headers()["location"].to_str().expect("a text");
        let back: Url = location.parse().expect("an address");
        back.query().expect("a query").to_owned()
    }

    /// Comes back; answers where the browser is sent.
    async fn come_back(&self, query: &str, cookie: &str) -> String {
        let response = self
            .client
            .get(format!("{BASE_PATH}/callback?{query}"))
            .header("Cookie", cookie)
            .send()
            .await;
        location(&response)
    }

    /// Connects an account; answers the id of its connection.
    pub(super) async fn connected(&self, coach: CoachId, email: &str) -> String {
        let visit = self.visit(coach, None).await;
        let query = self.consent(&visit, email, "allow").await;
        let back = self.come_back(&query, &visit.cookie).await;
        let url: Url = back.parse().expect("an address");
        let id = url.query_pairs().find(|(name, _)| name == "connection_id");
        id.unwrap_or_else(|| panic!("{back}")).1.into_owned()
    }
}

fn location(response: &TestResponse) -> String {
    response.assert_status(StatusCode::SEE_OTHER);
    response.assert_header("referrer-policy", "no-referrer");
    response.assert_header("cache-control", "no-store");
    response
        .0
        .header("location")
        .expect("a location")
        .to_owned()
}

#[tokio::test]
async fn a_coach_signs_in_and_the_account_is_an_active_connection() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "coach@example.com").await;
    let id_as_woken = bench.fakes.woken().first().map(ToString::to_string);
    assert_eq!(id_as_woken.as_ref(), Some(&id));

    let path = format!("/connections/{}", coach(1));
    let list = bench.as_coach(coach(1), Method::GET, &path);
    let list = list.answers(StatusCode::OK).await;
    let connection = &list["connections"][0];
    assert_eq!(connection["id"], id.as_str());
    assert_eq!(connection["account_email"], "coach@example.com");
    assert_eq!(connection["status"], "active");
    assert!(!list.to_string().contains("token"));
    // Connecting the same account again keeps the connection.
    let again = bench.connected(coach(1), "coach@example.com").await;
    assert_eq!(again, id);
}

#[tokio::test]
async fn a_state_works_once_in_its_own_browser_and_for_ten_minutes() {
    let bench = Bench::start().await;
    let frontend = "http://localhost:3001/dashboard";
    let invalid = format!("{frontend}?error=invalid_state");

    let first = bench.visit(coach(1), None).await;
    let query = bench.consent(&first, "a@example.com", "allow").await;
    let foreign = bench.visit(coach(2), None).await;
    assert_eq!(bench.come_back(&query, &foreign.cookie).await, invalid);
    assert_eq!(bench.come_back(&query, &first.cookie).await, invalid);

    // Two tabs of one browser share its cookie and both come through.
    let one = bench.visit(coach(1), None).await;
    let two = bench.visit(coach(1), Some(&one.cookie)).await;
    assert_eq!(one.cookie, two.cookie);
    for (visit, email) in [(&one, "a@example.com"), (&two, "b@example.com")] {
        let query = bench.consent(visit, email, "allow").await;
        let back = bench.come_back(&query, &one.cookie).await;
        assert!(back.starts_with(&format!("{frontend}?success=connected&provider=google")));
    }

    let late = bench.visit_and_wait(coach(1)).await;
    assert_eq!(
        late,
        format!("{frontend}?error=expired_state&provider=google")
    );
}

impl Bench {
    async fn visit_and_wait(&self, coach: CoachId) -> String {
        let visit = self.visit(coach, None).await;
        let query = self.consent(&visit, "late@example.com", "allow").await;
        self.clock.advance(Duration::from_secs(600));
        self.come_back(&query, &visit.cookie).await
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_told_in_the_return_address() {
    let bench = Bench::start().await;
    let visit = bench.visit(coach(1), None).await;
    let denied = bench.consent(&visit, "a@example.com", "deny").await;
    let back = bench.come_back(&denied, &visit.cookie).await;
    assert!(
        back.ends_with("?error=access_denied&provider=google"),
        "{back}"
    );

    for query in ["", "code=x", "state=", "state="] {
        let back = bench.come_back(query, &visit.cookie).await;
        assert!(
            back.ends_with("?error=missing_parameters"),
            "{query}: {back}"
        );
    }
    let long = format!("state={}&code=x", "x".repeat(4000));
    let back = bench.come_back(&long, &visit.cookie).await;
    assert!(back.ends_with("?error=invalid_state"));

    for (more, code) in [
        ("", "missing_parameters"),
        ("&code=", "missing_parameters"),
        ("&code=made-up", "exchange_failed"),
        ("&error=temporarily_unavailable&code=x", "provider_error"),
    ] {
        let visit = bench.visit(coach(1), None).await;
        let state = visit
            .address
            .query_pairs()
            .find(|(name, _)| name == "state");
        let query = format!("state={}{more}", state.expect("a state").1);
        let back = bench.come_back(&query, &visit.cookie).await;
        assert!(
            back.ends_with(&format!("?error={code}&provider=google")),
            "{more}: {back}"
        );
    }
}

#[tokio::test]
async fn no_sign_in_begins_for_others_for_foreign_pages_or_without_a_provider() {
    let bench = Bench::start().await;
    let path = format!("/connect/google/{}", coach(2));
    let ask = bench.as_coach(coach(1), Method::GET, &path);
    assert_eq!(ask.refused(StatusCode::FORBIDDEN).await, "forbidden");

    let path = format!("/connect/google/{}?return_to=https://evil.test/", coach(1));
    let ask = bench.as_coach(coach(1), Method::GET, &path);
    assert_eq!(
        ask.refused(StatusCode::BAD_REQUEST).await,
        "invalid_return_to"
    );

    let path = format!("/connect/outlook/{}", coach(1));
    let response = bench.as_coach(coach(1), Method::GET, &path).send().await;
    response.assert_header_exist("retry-after");
    let body = read(response, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(body["code"], "provider_not_configured");

    let path = format!(
        "/connect/google/{}?redirect=true&return_to=https://app.example.com/x",
        coach(1)
    );
    let response = bench.as_coach(coach(1), Method::GET, &path).send().await;
    response.assert_status(StatusCode::FOUND);
    let to = response.0.header("location").expect("a location");
    assert!(to.starts_with(bench.simulator.google_auth_url().as_str()));
}

const FRONTEND: &str = "http://localhost:3001/dashboard";
const MINUTE: Duration = Duration::from_secs(60);

impl Bench {
    /// Comes back with consent to a flow of the test's own.
    async fn finish(&self, flow: &Arc<ConnectFlow>, patience: Duration) -> Finished {
        let visit = self.visit(coach(1), None).await;
        let query = self.consent(&visit, "coach@example.com", "allow").await;
        let parameters = url::form_urlencoded::parse(query.as_bytes());
        let parameter = |name: &str| {
            let mut parameters = parameters;
            parameters
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let callback = Callback {
            state: parameter("state"),
            code: parameter("code").map(Into::into),
            ..Callback::default()
        };
        let browser = Browser::of_cookies([visit.cookie.as_str()]);
        flow.finish(callback, browser, Cause::NONE, patience, |_| {})
            .await
    }
}

#[tokio::test]
async fn a_browser_that_has_waited_long_enough_is_sent_back_with_an_error() {
    let bench = Bench::start().await;
    let silent = FaultRule::always(FaultEffect::Hang).at(CallKind::TokenExchange);
    let silent = bench.simulator.handle().add_fault(silent);
    silent.expect("a rule");
    // Long before anything else ends it.
    let finishing = bench.finish(&bench.flow, Duration::from_millis(200));
    let finished = tokio::time::timeout(Duration::from_secs(15), finishing).await;
    let location = finished.expect("it does not wait for Google").location;
    let expected = format!("{FRONTEND}?error=provider_error&provider=google");
    assert_eq!(location.as_str(), expected);
}

/// A fault of ours, wherever the time is needed.
#[derive(Debug)]
struct BrokenClock;

#[async_trait]
impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        panic!("a fault of ours")
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep_until(&self, _: Timestamp) {}

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn a_fault_of_ours_sends_the_browser_back_all_the_same() {
    let bench = Bench::start().await;
    let flow = ConnectFlow {
        clock: Arc::new(BrokenClock),
        ..(*bench.flow).clone()
    };
    let finished = bench.finish(&Arc::new(flow), MINUTE).await;
    let expected = format!("{FRONTEND}?error=exchange_failed&provider=google");
    assert_eq!(finished.location.as_str(), expected);
}

#[tokio::test]
async fn a_grant_on_which_another_coach_lives_by_now_is_not_given_back() {
    let bench = Bench::start().await;
    let id = bench.connected(coach(1), "shared@example.com").await;
    let origin = Origin {
        actor: Actor {
            subject: "booking".to_owned(),
            role: ActorRole::Service,
        },
        cause: Cause::NONE,
    };
    let id = id.parse().expect("an id");
    let ended = bench.store.disconnect(id, &origin, bench.clock.now()).await;
    let (ended, tokens, is_shared) = ended.expect("an answer").expect("it was connected");
    assert!(!is_shared, "it was the last");
    bench.connected(coach(2), "shared@example.com").await;
    let tokens = tokens.expect("it had tokens");
    assert!(!bench.flow.revoke(&ended, tokens).await);
    let calendars = bench.simulator.handle();
    assert_eq!(
        calendars.call_count(ProviderKind::Google, CallKind::Revoke),
        0
    );
}
