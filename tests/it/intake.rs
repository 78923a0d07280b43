//! What the platform reports: taken whole or not at all, once, and in the right order.

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, TestDaemon, eventually, needs_postgres};

const GOOGLE: ProviderKind = ProviderKind::Google;

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().expect("a list");
    errors
        .iter()
        .filter_map(|error| error["pointer"].as_str())
        .collect()
}

#[tokio::test]
async fn a_batch_with_one_bad_appointment_is_refused_whole_and_says_where() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let good = Session::tomorrow(coach, daemon.now());
    let zone = Session {
        time_zone: "Europe/Atlantis",
        ..Session::tomorrow(coach, daemon.now())
    };
    let email = Session {
        email: "not an address",
        ..Session::tomorrow(coach, daemon.now())
    };
    let backwards = Session::tomorrow(coach, daemon.now())
        .between("2027-01-01T10:00:00Z", "2027-01-01T09:00:00Z");
    let long = Session::tomorrow(coach, daemon.now())
        .between("2027-01-01T10:00:00Z", "2027-01-02T10:00:01Z");
    let items: Vec<_> = [&good, &zone, &email, &backwards, &long]
        .map(Session::item)
        .into();
    let batch = json!({"appointments": items});
    let problem = service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(422);
    assert_eq!(problem["code"], "invalid_appointment");
    let expected = [
        "/appointments/1/time_zone",
        "/appointments/2/client/email",
        "/appointments/3/ends_at",
        "/appointments/4/ends_at",
    ];
    assert_eq!(pointers(&problem), expected);
    let unseen = service.get(&format!("appointments/{}", good.id)).await;
    assert_eq!(unseen.problem(404), "appointment_not_found");

    let alone = service
        .put(&format!("appointments/{}", zone.id), &zone.body())
        .await;
    let problem = alone.expect(422);
    assert_eq!(pointers(&problem), ["/time_zone"]);
    assert!(
        !problem.to_string().contains("Atlantis"),
        "a value was repeated"
    );
}

#[tokio::test]
async fn bodies_that_are_not_as_documented_are_refused() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let session = Session::tomorrow(coach, daemon.now());
    let path = format!("appointments/{}", session.id);
    let mut unknown = session.body();
    unknown["colour"] = json!("red");
    let mut missing = session.body();
    missing.as_object_mut().expect("an object").remove("client");
    let mut local = session.body();
    local["starts_at"] = json!("2027-01-01T10:00:00");
    let mut status = session.body();
    status["status"] = json!("maybe");
    for body in [unknown, missing, local, status, json!([]), json!("text")] {
        assert_eq!(
            service.put(&path, &body).await.problem(400),
            "invalid_body",
            "{body}"
        );
    }
    for count in [0, 1001] {
        let items = vec![session.item(); count];
        let batch = json!({"appointments": items});
        let reply = service.post("appointments/batch", Some(&batch)).await;
        assert_eq!(reply.problem(400), "invalid_body");
    }
    let bad_id = service.put("appointments/not-an-id", &session.body()).await;
    assert_eq!(bad_id.problem(400), "invalid_parameter");
}

/// What no calendar would take as a guest, and no database of one kind.
#[tokio::test]
async fn a_client_has_an_address_alone_and_nothing_around_it() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    let session = Session::tomorrow(Uuid::new_v4(), daemon.now());
    let path = format!("appointments/{}", session.id);
    for email in [
        "Wilhelmina Client <wilhelmina@example.com>".to_owned(),
        "W\u{0} <wilhelmina@example.com>".to_owned(),
        format!("{} <wilhelmina@example.com>", "W".repeat(100_000)),
        " <wilhelmina@example.com>".to_owned(),
        "wilhelmina@[192.0.2.1]".to_owned(),
        "wilhelmina@localhost".to_owned(),
        format!("w@{}.com", "w.".repeat(150)),
    ] {
        let mut body = session.body();
        body["client"]["email"] = json!(email);
        let problem = service.put(&path, &body).await.expect(422);
        assert_eq!(problem["code"], "invalid_appointment");
        assert_eq!(pointers(&problem), ["/client/email"]);
        assert!(!problem.to_string().contains("Client <"));

        let mut item = session.item();
        item["client"]["email"] = json!(email);
        let batch = json!({"appointments": [session.item(), item]});
        let refused = service.post("appointments/batch", Some(&batch)).await;
        let problem = refused.expect(422);
        assert_eq!(pointers(&problem), ["/appointments/1/client/email"]);
    }
}

/// PostgreSQL stores no U+0000 in a text: wherever one may come in, it is refused and no failure of ours.
#[tokio::test]
async fn a_nul_is_refused_wherever_a_text_is_taken() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let connection = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let admin = daemon.admin();
    let session = Session {
        notes: Some("notes"),
        location: Some("Room 1"),
        meeting_url: Some("https://meet.example.com/1"),
        ..Session::tomorrow(coach, daemon.now())
    };
    for pointer in [
        "/client/name",
        "/client/email",
        "/notes",
        "/location",
        "/meeting_url",
        "/time_zone",
    ] {
        let mut body = session.body();
        let field = body.pointer_mut(pointer).expect("a field");
        let text = field.as_str().expect("a text");
        *field = json!(match pointer {
            "/client/email" => format!("W\u{0} <{text}>"),
            _ => format!("{text}\u{0}"),
        });
        let path = format!("appointments/{}", session.id);
        let problem = admin.put(&path, &body).await.expect(422);
        assert_eq!(pointers(&problem), [pointer]);
    }
    let settings = format!("connections/{connection}");
    for (field, text) in [
        ("event_title_template", "Session\u{0}"),
        ("event_description_template", "\u{0}"),
        ("calendar_id", "primary\u{0}"),
    ] {
        for path in [&settings, &format!("{settings}/preview")] {
            let method = if path.ends_with("preview") {
                Method::POST
            } else {
                Method::PUT
            };
            let body = json!({field: text});
            let reply = admin.send(method, path, Some(&body)).await;
            assert_eq!(reply.problem(422), "invalid_settings", "{field}");
        }
    }
    // The words of a URL are escaped, and its host is none with it.
    for url in ["https://hooks.example\u{0}.com/", "https://\u{0}/"] {
        let reply = admin.post("webhooks", Some(&json!({"url": url}))).await;
        assert_eq!(reply.problem(422), "invalid_webhook");
    }
    for (path, code) in [
        ("appointments/%00", "invalid_parameter"),
        ("queue?status=%00", "invalid_parameter"),
        ("queue?cursor=%00", "invalid_cursor"),
        ("audit?action=%00", "invalid_parameter"),
        (
            &format!("connect/google/{coach}?return_to=http://localhost:3001/%00"),
            "invalid_return_to",
        ),
    ] {
        assert_eq!(admin.get(path).await.problem(400), code, "{path}");
    }
}

#[tokio::test]
async fn an_older_revision_changes_nothing() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(GOOGLE, coach, COACH_EMAIL).await;
    let first = Session {
        revision: Some(7),
        ..Session::tomorrow(coach, daemon.now())
    };
    assert_eq!(service.report(&first).await, "created");
    let late = Session {
        revision: Some(6),
        ..first.clone().moved(TimeDelta::hours(1))
    };
    assert_eq!(service.report(&late).await, "stale");
    let same = Session {
        revision: Some(7),
        ..first.clone().moved(TimeDelta::hours(2))
    };
    assert_eq!(service.report(&same).await, "updated");
    let newer = Session {
        revision: Some(8),
        ..same.clone()
    };
    assert_eq!(service.report(&newer).await, "unchanged");
    assert_eq!(service.report(&same).await, "stale");
    service.settled(id).await;
    let event = daemon.event(GOOGLE, COACH_EMAIL, first.id, |_| true).await;
    assert_eq!(event.starts_at, same.starts_at);
}

#[tokio::test]
async fn what_did_not_change_calls_no_provider() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let mut connections = Vec::new();
    for provider in ProviderKind::ALL {
        connections.push(daemon.connect(provider, coach, COACH_EMAIL).await);
    }
    let session = Session::tomorrow(coach, daemon.now());
    service.report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
    for id in &connections {
        service.settled(*id).await;
    }
    let calls = ProviderKind::ALL.map(|provider| daemon.event_calls(provider));
    assert_eq!(service.report(&session).await, "unchanged");
    // A change that no calendar shows, with details off, is queued and found to be none.
    let renamed = Session {
        client: "Another Name",
        notes: Some("other notes"),
        ..session.clone()
    };
    assert_eq!(service.report(&renamed).await, "updated");
    for id in &connections {
        service.settled(*id).await;
    }
    assert_eq!(
        ProviderKind::ALL.map(|provider| daemon.event_calls(provider)),
        calls
    );
}

#[tokio::test]
async fn one_call_carries_one_change() {
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        let coach = Uuid::new_v4();
        let id = daemon.connect(provider, coach, COACH_EMAIL).await;
        service.settled(id).await;
        let mut calls = daemon.event_calls(provider);
        let session = Session::tomorrow(coach, daemon.now());
        let moved = session.clone().moved(TimeDelta::hours(1));
        let cancelled = moved.clone().with_status("cancelled");
        for report in [session, moved, cancelled] {
            service.report(&report).await;
            service.settled(id).await;
            calls += 1;
            assert_eq!(
                daemon.event_calls(provider),
                calls,
                "{provider} {}",
                report.status
            );
        }
        assert!(daemon.events(provider, COACH_EMAIL).is_empty());
    }
}

#[tokio::test]
async fn the_same_report_many_times_at_once_makes_one_event() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let mut connections = Vec::new();
    for provider in ProviderKind::ALL {
        connections.push(daemon.connect(provider, coach, COACH_EMAIL).await);
    }
    let session = Session::tomorrow(coach, daemon.now());
    let outcomes = join_all((0..20).map(|_| service.report(&session))).await;
    let created = outcomes
        .iter()
        .filter(|outcome| *outcome == "created")
        .count();
    assert_eq!(created, 1, "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome == "created" || outcome == "unchanged")
    );
    for (provider, id) in ProviderKind::ALL.into_iter().zip(connections) {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
        service.settled(id).await;
        assert_eq!(daemon.creates(provider), 1);
    }
}

#[tokio::test]
async fn many_changes_of_one_appointment_end_in_the_last() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    let mut session = Session::tomorrow(coach, daemon.now());
    for step in 0..30 {
        let status = if step % 3 == 2 {
            "cancelled"
        } else {
            "confirmed"
        };
        session = session.moved(TimeDelta::minutes(10)).with_status(status);
        service.report(&session).await;
    }
    let last = session.with_status("confirmed");
    service.report(&last).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, last.id, |event| {
                event.starts_at == last.starts_at
            })
            .await;
    }
    daemon.no_duplicates();
}

#[tokio::test]
async fn appointments_are_listed_page_by_page() {
    let daemon = TestDaemon::start().await;
    let (coach, other) = (Uuid::new_v4(), Uuid::new_v4());
    let service = daemon.service();
    let start = Session::tomorrow(coach, daemon.now());
    let sessions: Vec<Session> = (0..5)
        .map(|day| Session {
            id: Uuid::new_v4(),
            ..start.clone().moved(TimeDelta::days(day))
        })
        .collect();
    let items: Vec<_> = sessions
        .iter()
        .chain([&Session::tomorrow(other, daemon.now())])
        .map(Session::item)
        .collect();
    let batch = json!({"appointments": items});
    service
        .post("appointments/batch", Some(&batch))
        .await
        .expect(200);

    let mut listed = Vec::new();
    let mut more = String::new();
    loop {
        let path = format!("appointments?coach_id={coach}&limit=2{more}");
        let page = daemon.coach(coach).get(&path).await.expect(200);
        let appointments = page["appointments"].as_array().expect("a list");
        listed.extend(appointments.iter().map(|one| one["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(cursor) => more = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let expected: Vec<Value> = sessions.iter().map(|session| json!(session.id)).collect();
    assert_eq!(listed, expected);

    let zulu = |session: &Session| session.starts_at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (from, to) = (zulu(&sessions[1]), zulu(&sessions[3]));
    let path = format!("appointments?coach_id={coach}&from={from}&to={to}");
    let page = service.get(&path).await.expect(200);
    assert_eq!(page["appointments"].as_array().map(Vec::len), Some(2));
    // Without an end, or a beginning, in the local time of whoever asks: in UTC it is another year.
    let ever = "from=0000-01-01T00:00:00%2B05:00&to=9999-12-31T23:59:59-05:00";
    let path = format!("appointments?coach_id={coach}&{ever}");
    let page = service.get(&path).await.expect(200);
    assert_eq!(page["appointments"].as_array().map(Vec::len), Some(5));
    let never = "from=9999-12-31T23:59:59-05:00";
    let path = format!("appointments?coach_id={coach}&{never}");
    let page = service.get(&path).await.expect(200);
    assert_eq!(page["appointments"].as_array().map(Vec::len), Some(0));
    let forged = format!("appointments?coach_id={coach}&cursor=forged");
    assert_eq!(service.get(&forged).await.problem(400), "invalid_cursor");
}

#[tokio::test]
async fn of_two_first_reports_under_two_coaches_the_newer_revision_stays_on_postgres() {
    needs_postgres();
    let daemon = TestDaemon::start().await;
    let service = daemon.service();
    let newer = Session {
        revision: Some(5),
        ..Session::tomorrow(Uuid::new_v4(), daemon.now())
    };
    let older = Session {
        revision: Some(4),
        coach: Uuid::new_v4(),
        ..newer.clone()
    };
    let waits = async |statement: &str| {
        eventually(statement, async || {
            let waiting = format!(
                "SELECT pid::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND datname = current_database() AND query LIKE 'INSERT INTO {statement}%'"
            );
            let waiting = daemon.database.texts(&waiting, 0).await;
            (!waiting.is_empty()).then_some(())
        })
        .await;
    };
    // The newer one gets as far as to what it queues.
    let lock = "LOCK TABLE calendar_sync_queue IN SHARE MODE";
    let busy = daemon.database.hold(lock).await;
    let late = async {
        waits("calendar_sync_queue").await;
        service.report(&older).await
    };
    let goes_on = async {
        waits("\"appointments\"").await;
        busy.let_go().await;
    };
    let (first, late, ()) = futures::join!(service.report(&newer), late, goes_on);
    assert_eq!((first.as_str(), late.as_str()), ("created", "stale"));
    let path = format!("appointments/{}", newer.id);
    let stored = service.get(&path).await.expect(200);
    assert_eq!(stored["coach_id"], json!(newer.coach));
}
