//! Where secrets and client details may be, and a search for them everywhere else.
//!
//! The whole story is told to the real program, with its log at `trace` and backtraces on: both
//! providers, details shared and not, errors of providers that repeat what they were sent, requests with
//! secrets in odd places, panics, a kill, erasure. Then everything it wrote is searched.
//!
//! | what | where it may be |
//! |---|---|
//! | name, address and notes of a client, place and meeting link of an appointment | table `appointments`, answers about that appointment to those who may read it, and while shared (place and link: always) the provider's event. After erasure in no table and, on SQLite, minutes later in no file |
//! | address of a coach's account | `coach_calendar_connections`, `calendar_event_mappings` (some calendars are named by it), answers about the connection; an answer kept under an `Idempotency-Key`, for its 24 hours |
//! | tokens of an account | sealed in `coach_calendar_connections` |
//! | verifier of a sign-in | sealed in `sign_ins` |
//! | state of a sign-in, cookie of its browser | hashed in `sign_ins` |
//! | code of a sign-in | the provider's redirect to us |
//! | client secrets, encryption keys, secret of API tokens | the settings |
//! | API tokens | the header they come in |
//! | an `Idempotency-Key` | hashed in `idempotency_keys` |
//!
//! Nothing of it is in a log, a metric, `/health`, the audit trail, the queue, a problem, or what a crash
//! prints. Two things a caller chooses are repeated, and are therefore not to hold secrets: an
//! `X-Request-Id` of plain letters is in log and answer, and the name of a field or placeholder that does
//! not exist in the problem that refuses it.
//!
//! PostgreSQL keeps erased rows in its files until it vacuums, and in its log of writes until that is
//! recycled; both are the server's and are not searched here. Nor is memory, or a core file.

mod odd_requests;
mod secrets;
mod story;

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use self::secrets::{Kind, Secrets};
use self::story::{ACCOUNT, FIRST, Story};
use crate::support::{RealDaemon, Session, Setup, eventually, needs_sqlite};

const EVERYTHING: [Kind; 3] = [Kind::Credential, Kind::Client, Kind::Account];

#[tokio::test]
async fn secrets_and_client_details_are_nowhere_but_where_they_belong() {
    let mut story = Story::prepare().await;
    let coach = Uuid::new_v4();
    let process = story.start(&[]).await;
    let mut connections = Vec::new();
    for provider in ProviderKind::ALL {
        connections.push(story.sign_ins(&process, provider, coach).await);
    }
    for (provider, connection) in ProviderKind::ALL.into_iter().zip(&connections) {
        story.work(&process, provider, coach, *connection).await;
        story
            .loses_and_regains_access(&process, provider, coach)
            .await;
    }
    odd_requests::send(&mut story, &process, coach, connections[0]).await;
    story.look_around(&process, coach, &connections).await;
    story.end(process).await;

    let panics = "settle.before=1*panic(a step breaks);intake.before=1*panic(another breaks)";
    let process = story.start(&[("FAILPOINTS", panics)]).await;
    story.reports_until_taken(&process, coach).await;
    story.end(process).await;
    assert!(story.said("panicked at"), "no panic was printed");

    let process = story
        .start(&[("FAILPOINTS", "call.after=1*return(kill)")])
        .await;
    story.reports_until_taken(&process, coach).await;
    let last_words = process.last_words().await;
    story.hear("a killed process", last_words);
    assert!(story.said("a failpoint strikes"), "nobody was killed");

    story
        .search_tables(|table, kind| match kind {
            Kind::Credential => false,
            Kind::Client => table == "appointments",
            Kind::Account => {
                table == "coach_calendar_connections" || table == "calendar_event_mappings"
            }
        })
        .await;

    let process = story.start(&[]).await;
    story
        .erases_everything(&process, coach, connections[1])
        .await;
    story.search_tables(|_, kind| kind == Kind::Account).await;
    let service = process.service(&story.daemon);
    service
        .delete(&format!("coaches/{coach}"))
        .await
        .expect(202);
    story.search_tables(|_, _| false).await;
    story.look_around(&process, coach, &[]).await;
    story.end(process).await;
    story.search_logs_answers_and_files();
}

/// As the daemon goes on, without the end of a process that tidies up.
#[tokio::test]
async fn what_is_erased_is_in_no_file_a_few_minutes_later_on_sqlite() {
    needs_sqlite();
    let daemon = Setup::with_manual_clock().start().await;
    let coach = Uuid::new_v4();
    let service = daemon.service();
    let id = daemon.connect(ProviderKind::Google, coach, ACCOUNT).await;
    service
        .change(id, &json!({"include_client_details": true}))
        .await;
    // Notes so long that they lie on pages of their own, which erasure frees.
    let long: &'static str = Box::leak(
        format!("{} ", FIRST.notes.expect("some"))
            .repeat(120)
            .into(),
    );
    let sessions: Vec<Session> = (0..40)
        .map(|number| Session {
            notes: if number % 2 == 0 {
                FIRST.notes
            } else {
                Some(long)
            },
            ..FIRST.session(coach, daemon.now())
        })
        .collect();
    for session in &sessions {
        service.report(session).await;
    }
    service.settled(id).await;
    let mut secrets = Secrets::default();
    FIRST.note(&mut secrets);
    let left = || {
        let files = daemon.database.files().into_iter();
        let found = files.map(|(name, content)| (name, secrets.in_text(&content, &[Kind::Client])));
        found
            .filter(|(_, found)| !found.is_empty())
            .collect::<Vec<_>>()
    };
    assert!(!left().is_empty(), "the search finds nothing at all");
    for session in &sessions {
        let path = format!("appointments/{}", session.id);
        service.delete(&path).await.expect(202);
    }
    eventually("nothing is left of them", async || {
        daemon.advance(TimeDelta::minutes(10));
        left().is_empty().then_some(())
    })
    .await;
}
