//! Connecting a calendar account, and every way in which that comes to nothing.

use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::support::{
    Browser, COACH_EMAIL, Consent, Proxy, Session, Setup, TestDaemon, TestDatabase, eventually,
    needs_postgres, parameter,
};

const GOOGLE: ProviderKind = ProviderKind::Google;

fn error_of(end: &Url) -> String {
    assert_eq!(parameter(end, "success"), None, "{end}");
    parameter(end, "error").expect("an error")
}

#[tokio::test]
async fn a_coach_connects_an_account_and_lands_on_the_dashboard() {
    let daemon = TestDaemon::start().await;
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let end = Browser::new(&daemon)
            .sign_in(provider, coach, COACH_EMAIL, Consent::Allow)
            .await;
        assert!(end.as_str().starts_with("http://localhost:3001/dashboard?"));
        assert_eq!(parameter(&end, "success").as_deref(), Some("connected"));
        let named = parameter(&end, "provider");
        assert_eq!(named.as_deref(), Some(provider.as_str()));
        let id: Uuid = parameter(&end, "connection_id")
            .and_then(|id| id.parse().ok())
            .expect("an id");

        let connection = daemon.coach(coach).connection(coach, id).await;
        assert_eq!(connection["account_email"], COACH_EMAIL);
        assert_eq!(connection["status"], "active");
        // Graph says nothing of a calendar's zone that has an IANA name.
        let zone = match provider {
            ProviderKind::Google => json!("Europe/Berlin"),
            ProviderKind::Outlook => json!(null),
        };
        assert_eq!(connection["calendar_time_zone"], zone);
        for (setting, default) in [
            ("is_sync_enabled", true),
            ("auto_create_events", true),
            ("auto_update_events", true),
            ("include_client_details", false),
            ("add_client_as_attendee", true),
        ] {
            assert_eq!(connection[setting], default, "{setting}");
        }
        assert_eq!(connection["event_title_template"], "ACT Coaching Session");
        assert_eq!(connection.get("access_token"), None);
    }
}

#[tokio::test]
async fn with_redirect_the_browser_is_sent_to_the_consent_page() {
    let daemon = TestDaemon::start().await;
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, Uuid::new_v4(), "redirect=true").await;
    assert!(page.as_str().starts_with(daemon.calendars.url().as_str()));
    for (name, value) in [
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
    ] {
        assert_eq!(parameter(&page, name).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn the_browser_returns_to_allowed_addresses_only() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let wanted = "return_to=https://app.example.org/settings?tab%3Dcalendar";
    let page = browser.begin(GOOGLE, coach, wanted).await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    let end = browser.come_back(&callback).await;
    assert!(
        end.as_str()
            .starts_with("https://app.example.org/settings?tab=calendar&"),
        "{end}"
    );

    for refused in [
        "https://evil.example/",
        "https://app.example.org.evil.example/",
        "https://app.example.org@evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
    ] {
        let mut path = daemon.url();
        path.set_path(&format!("/api/calendar-integration/connect/google/{coach}"));
        path.query_pairs_mut().append_pair("return_to", refused);
        let path = format!("{}?{}", path.path(), path.query().expect("a query"));
        let reply = daemon.coach(coach).get(&path).await;
        assert_eq!(reply.problem(400), "invalid_return_to", "{refused}");
    }
}

#[tokio::test]
async fn a_coach_who_says_no_is_brought_back_with_access_denied() {
    let daemon = TestDaemon::start().await;
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let end = Browser::new(&daemon)
            .sign_in(provider, coach, COACH_EMAIL, Consent::Deny)
            .await;
        assert_eq!(error_of(&end), "access_denied");
        let named = parameter(&end, "provider");
        assert_eq!(named.as_deref(), Some(provider.as_str()));
        let body = daemon
            .coach(coach)
            .get(&format!("connections/{coach}"))
            .await;
        assert_eq!(body.expect(200), json!({"connections": []}));
    }
}

#[tokio::test]
async fn less_access_than_is_needed_is_no_connection() {
    let daemon = TestDaemon::start().await;
    for (provider, granted) in [
        (
            GOOGLE,
            "https://www.googleapis.com/auth/userinfo.email \
             https://www.googleapis.com/auth/calendar.readonly",
        ),
        (
            ProviderKind::Outlook,
            "offline_access User.Read Calendars.Read",
        ),
    ] {
        let mut browser = Browser::new(&daemon);
        let mut page = browser.begin(provider, Uuid::new_v4(), "").await;
        let asked: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        page.query_pairs_mut()
            .clear()
            .extend_pairs(asked.into_iter().map(|(name, value)| {
                let value = if name == "scope" {
                    granted.to_owned()
                } else {
                    value
                };
                (name, value)
            }));
        let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
        assert_eq!(
            error_of(&browser.come_back(&callback).await),
            "insufficient_scope"
        );
    }
}

#[tokio::test]
async fn a_callback_without_its_parameters_says_so() {
    let daemon = TestDaemon::start().await;
    let mut browser = Browser::new(&daemon);
    let bare =
        Url::parse("http://localhost:3001/api/calendar-integration/callback").expect("a url");
    assert_eq!(
        error_of(&browser.come_back(&bare).await),
        "missing_parameters"
    );

    let page = browser.begin(GOOGLE, Uuid::new_v4(), "").await;
    let state = parameter(&page, "state").expect("a state");
    let mut without_code = bare.clone();
    without_code.query_pairs_mut().append_pair("state", &state);
    assert_eq!(
        error_of(&browser.come_back(&without_code).await),
        "missing_parameters"
    );
}

#[tokio::test]
async fn a_state_is_good_once_and_in_its_own_browser() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, coach, "").await;
    let callback = browser
        .decide(page.clone(), COACH_EMAIL, Consent::Allow)
        .await;

    let mut forged = callback.clone();
    forged.set_query(Some("code=4/abc&state=never-given-out"));
    assert_eq!(error_of(&browser.come_back(&forged).await), "invalid_state");

    let end = browser.come_back(&callback).await;
    assert_eq!(parameter(&end, "success").as_deref(), Some("connected"));
    assert_eq!(
        error_of(&browser.come_back(&callback).await),
        "invalid_state"
    );

    let page = browser.begin(GOOGLE, coach, "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    let stranger = Browser::new(&daemon);
    assert_eq!(
        error_of(&stranger.come_back(&callback).await),
        "invalid_state"
    );
}

/// RFC 9207: Google says who it is.
#[tokio::test]
async fn a_code_that_says_it_is_anothers_is_sent_nowhere() {
    let daemon = TestDaemon::start().await;
    let exchanges = || daemon.calendars.call_count(GOOGLE, CallKind::TokenExchange);
    let come_back_from = async |issuer: Option<&str>| {
        let mut browser = Browser::new(&daemon);
        let page = browser.begin(GOOGLE, Uuid::new_v4(), "").await;
        let mut callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
        let told = parameter(&callback, "iss");
        assert_eq!(told.as_deref(), Some("https://accounts.google.com"));
        let others: Vec<(String, String)> = callback
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| name != "iss")
            .collect();
        let issuer = issuer.map(|issuer| ("iss", issuer));
        callback
            .query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .extend_pairs(issuer);
        browser.come_back(&callback).await
    };
    for other in ["https://accounts.evil.example", ""] {
        let end = come_back_from(Some(other)).await;
        assert_eq!(error_of(&end), "provider_error");
        assert_eq!(exchanges(), 0);
    }
    for none_other in [None, Some("https://accounts.google.com")] {
        let end = come_back_from(none_other).await;
        assert_eq!(parameter(&end, "success").as_deref(), Some("connected"));
    }
}

#[tokio::test]
async fn two_tabs_may_sign_in_at_once() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let first = browser.begin(GOOGLE, coach, "").await;
    let second = browser.begin(ProviderKind::Outlook, coach, "").await;
    for page in [first, second] {
        let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
        let end = browser.come_back(&callback).await;
        assert_eq!(
            parameter(&end, "success").as_deref(),
            Some("connected"),
            "{end}"
        );
    }
}

#[tokio::test]
async fn a_sign_in_that_takes_too_long_has_expired() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, Uuid::new_v4(), "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    daemon.advance(TimeDelta::minutes(10));
    assert_eq!(
        error_of(&browser.come_back(&callback).await),
        "expired_state"
    );
}

#[tokio::test]
async fn trouble_at_the_provider_is_told_apart() {
    let daemon = TestDaemon::start().await;
    let refused = FaultEffect::Status {
        status: 400,
        code: Some("invalid_grant".into()),
        retry_after: None,
    };
    for provider in ProviderKind::ALL {
        for (operation, effect, expected) in [
            (CallKind::TokenExchange, refused.clone(), "exchange_failed"),
            (
                CallKind::TokenExchange,
                FaultEffect::status(503),
                "provider_error",
            ),
            (
                CallKind::Calendars,
                FaultEffect::status(403),
                "calendar_access_failed",
            ),
            (
                CallKind::Calendars,
                FaultEffect::status(500),
                "calendar_access_failed",
            ),
        ] {
            let rule = daemon.fail(FaultRule::always(effect).on(provider).at(operation));
            let end = Browser::new(&daemon)
                .sign_in(provider, Uuid::new_v4(), COACH_EMAIL, Consent::Allow)
                .await;
            assert_eq!(error_of(&end), expected, "{provider} {operation:?}");
            daemon.calendars.remove_fault(rule);
        }
    }
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, Uuid::new_v4(), "").await;
    let state = parameter(&page, "state").expect("a state");
    let path = "http://localhost:3001/api/calendar-integration/callback";
    let failed = format!("{path}?error=temporarily_unavailable&state={state}");
    let end = browser
        .come_back(&Url::parse(&failed).expect("a url"))
        .await;
    assert_eq!(error_of(&end), "provider_error");
}

#[tokio::test]
async fn a_second_account_is_a_second_connection_and_both_get_the_event() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let home = daemon.connect(GOOGLE, coach, "home@example.com").await;
    let work = daemon.connect(GOOGLE, coach, "work@example.com").await;
    assert_ne!(home, work);
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    for email in ["home@example.com", "work@example.com"] {
        daemon.event(GOOGLE, email, session.id, |_| true).await;
    }
}

#[tokio::test]
async fn signing_in_again_revives_the_connection_with_its_settings_and_events() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let session = Session::tomorrow(coach, daemon.now());
        service.report(&session).await;
        let before = daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        let title = json!({"event_title_template": "Coaching"});
        service.change(id, &title).await;
        daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.title == "Coaching"
            })
            .await;

        let path = format!("connections/{id}");
        service.delete(&path).await.expect(200);
        let session = session.moved(TimeDelta::hours(2));
        service.report(&session).await;

        assert_eq!(daemon.connect(provider, coach, COACH_EMAIL).await, id);
        let connection = service.connection(coach, id).await;
        assert_eq!(connection["event_title_template"], "Coaching");
        let after = daemon
            .event(provider, COACH_EMAIL, session.id, |event| {
                event.starts_at == session.starts_at
            })
            .await;
        assert_eq!(before.event_id, after.event_id);
        service.report(&session.with_status("cancelled")).await;
        daemon.no_events(provider, COACH_EMAIL).await;
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn a_provider_without_a_client_is_off() {
    let daemon = Setup::default()
        .set("MICROSOFT_CLIENT_ID", "")
        .set("MICROSOFT_CLIENT_SECRET", "")
        .start()
        .await;
    let coach = Uuid::new_v4();
    let path = format!("connect/outlook/{coach}");
    let reply = daemon.coach(coach).get(&path).await;
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.problem(503), "provider_not_configured");
    let unknown = daemon
        .coach(coach)
        .get(&format!("connect/caldav/{coach}"))
        .await;
    assert_eq!(unknown.problem(400), "invalid_parameter");
}

#[tokio::test]
async fn a_connection_test_calls_the_provider() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    for provider in ProviderKind::ALL {
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        let path = format!("connections/{id}/test");
        let good = daemon.coach(coach).post(&path, None).await.expect(200);
        assert_eq!(good["ok"], true, "{good}");
        assert_eq!(good["account_email"], COACH_EMAIL);
        assert!(good["calendar_name"].is_string() && good["problem"].is_null());

        let rule = FaultRule::always(FaultEffect::status(503)).on(provider);
        let rule = daemon.fail(rule.at(CallKind::Calendars));
        let bad = daemon.coach(coach).post(&path, None).await.expect(200);
        assert_eq!(bad["ok"], false);
        assert_eq!(bad["problem"]["code"], "server_error");
        daemon.calendars.remove_fault(rule);
        eventually("it is well again", async || {
            let again = daemon.coach(coach).post(&path, None).await.expect(200);
            (again["ok"] == true).then_some(())
        })
        .await;
    }
}

fn sql_on(session: &Session, statement: &str) -> String {
    format!("{statement} WHERE id = '{}'", session.id)
}

#[tokio::test]
async fn an_appointment_that_is_being_erased_is_nothing_to_a_new_calendar_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    let erased = sql_on(&session, "UPDATE appointments SET erased_at = now()");
    daemon.database.run(&erased).await;

    let forgotten = sql_on(&session, "DELETE FROM appointments");
    let forgetting = daemon.database.hold(&forgotten).await;
    daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    forgetting.commit().await;
}

#[tokio::test]
async fn an_appointment_forgotten_while_its_calendar_comes_back_is_left_out_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    daemon.service().settled(id).await;
    let path = format!("connections/{id}");
    daemon.coach(coach).delete(&path).await.expect(200);
    let erased = sql_on(&session, "UPDATE appointments SET erased_at = now()");
    daemon.database.run(&erased).await;

    let forgotten = sql_on(&session, "DELETE FROM appointments");
    let forgetting = daemon.database.hold(&forgotten).await;
    let forgets = async {
        eventually("the calendar that comes back waits", async || {
            (daemon.database.waits_for_locks().await > 0).then_some(())
        })
        .await;
        forgetting.commit().await;
    };
    let (again, ()) = futures::join!(daemon.connect(GOOGLE, coach, COACH_EMAIL), forgets);
    assert_eq!(again, id);
}

/// As far away as Google is on a bad day: a sign-in takes some of these.
fn far_away() -> Setup {
    Setup::default().simulate(|config| config.limits.latency = Duration::from_millis(700))
}

impl Browser<'_> {
    /// Comes back, and closes the page as soon as the sign-in is used up.
    async fn come_back_and_close(&self, callback: &Url, daemon: &TestDaemon) {
        let used_up = eventually("the sign-in is used up", async || {
            let used = "SELECT state_hash FROM sign_ins WHERE state_hash LIKE 'used %'";
            (daemon.database.texts(used, 0).await.len() == 1).then_some(())
        });
        tokio::select! {
            end = self.come_back(callback) => panic!("it was not far away: {end}"),
            () = used_up => {}
        }
    }
}

#[tokio::test]
async fn a_coach_who_closes_the_page_is_connected_all_the_same() {
    let daemon = far_away().start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, coach, "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    browser.come_back_and_close(&callback, &daemon).await;
    eventually("the calendar is connected", async || {
        let path = format!("connections/{coach}");
        let listed = daemon.coach(coach).get(&path).await.expect(200);
        (listed["connections"][0]["status"] == "active").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_page_shown_anew_in_the_middle_of_a_sign_in_waits_for_its_end() {
    let daemon = far_away().start().await;
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, Uuid::new_v4(), "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    browser.come_back_and_close(&callback, &daemon).await;
    let stranger = Browser::new(&daemon);
    let (end, strangers) =
        futures::join!(browser.come_back(&callback), stranger.come_back(&callback));
    assert_eq!(parameter(&end, "success").as_deref(), Some("connected"));
    assert_eq!(error_of(&strangers), "invalid_state");
    assert_eq!(
        daemon.calendars.call_count(GOOGLE, CallKind::TokenExchange),
        1
    );
    let again = browser.come_back(&callback).await;
    assert_eq!(error_of(&again), "invalid_state");
}

#[tokio::test]
async fn a_daemon_that_stops_finishes_the_sign_ins_whose_pages_are_closed() {
    let mut daemon = far_away().start().await;
    let coach = Uuid::new_v4();
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, coach, "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    browser.come_back_and_close(&callback, &daemon).await;
    daemon.stop().await;
    let stored = "SELECT status FROM coach_calendar_connections";
    assert_eq!(daemon.database.texts(stored, 0).await, ["active"]);
}

#[tokio::test]
async fn a_browser_that_comes_back_to_a_silent_database_is_sent_back_in_time_on_postgres() {
    needs_postgres();
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::of_postgres(&database.url()).await;
    let setup = Setup::default().on(database).set("DATABASE_URL", &url);
    let daemon = setup.start().await;
    let mut browser = Browser::new(&daemon);
    let page = browser.begin(GOOGLE, Uuid::new_v4(), "").await;
    let callback = browser.decide(page, COACH_EMAIL, Consent::Allow).await;
    // In the middle of a statement: what waits for a connection gives up by itself.
    let busy = "SELECT id FROM sign_ins FOR UPDATE";
    let busy = daemon.database.hold(busy).await;
    let falls_silent = async {
        eventually("the sign-in is looked for", async || {
            (daemon.database.waits_for_locks().await > 0).then_some(())
        })
        .await;
        proxy.stall();
    };
    let (end, ()) = futures::join!(browser.come_back(&callback), falls_silent);
    assert_eq!(error_of(&end), "exchange_failed");
    proxy.open();
    busy.let_go().await;
}
