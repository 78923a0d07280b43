//! 16: stored tokens that cannot be opened. (A missing key: `tokens_at_rest`.)

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, eventually};

const PROVIDER: ProviderKind = ProviderKind::Google;

struct Coach {
    id: Uuid,
    connection: Uuid,
    email: &'static str,
}

impl Coach {
    async fn connected(daemon: &TestDaemon, email: &'static str) -> Self {
        let id = Uuid::new_v4();
        let connection = daemon.connect(PROVIDER, id, email).await;
        Self {
            id,
            connection,
            email,
        }
    }

    /// What is stored: access token and refresh token.
    async fn tokens(&self, daemon: &TestDaemon) -> [String; 2] {
        let email = self.email;
        let column = async |name| {
            let query = format!(
                "SELECT {name} FROM coach_calendar_connections WHERE account_email = '{email}'"
            );
            daemon.database.texts(&query, 0).await.remove(0)
        };
        [column("access_token").await, column("refresh_token").await]
    }

    async fn store(&self, daemon: &TestDaemon, [access, refresh]: &[String; 2]) {
        let email = self.email;
        let update = format!(
            "UPDATE coach_calendar_connections SET access_token = '{access}', \
             refresh_token = '{refresh}' WHERE account_email = '{email}'"
        );
        daemon.database.run(&update).await;
    }

    async fn report(&self, daemon: &TestDaemon) -> Session {
        let session = Session::tomorrow(self.id, daemon.now());
        daemon.service().report(&session).await;
        session
    }

    async fn is_set_aside_with_a_reason(&self, daemon: &TestDaemon) {
        let reason = eventually("it is set aside", async || {
            let api = daemon.service();
            let connection = api.connection(self.id, self.connection).await;
            let is_aside = connection["status"] == "quarantined";
            is_aside.then(|| connection["status_reason"].as_str().map(str::to_owned))?
        })
        .await;
        assert!(reason.contains("encryption keys"), "{reason}");
        assert!(reason.contains("signing in again"), "{reason}");
    }
}

#[tokio::test]
async fn tokens_that_do_not_open_set_their_connection_aside_until_they_are_mended() {
    let mut daemon = Setup::with_manual_clock().start().await;
    let damaged = Coach::connected(&daemon, "damaged@example.com").await;
    let one = Coach::connected(&daemon, "one@example.com").await;
    let other = Coach::connected(&daemon, "other@example.com").await;
    let fine = Coach::connected(&daemon, COACH_EMAIL).await;
    daemon.stop().await;
    let kept = [
        damaged.tokens(&daemon).await,
        one.tokens(&daemon).await,
        other.tokens(&daemon).await,
    ];
    let damage = |token: &String| {
        let (head, tail) = token.split_at(token.len() - 8);
        let turned: String = tail.chars().rev().collect();
        format!("{head}{turned}")
    };
    damaged
        .store(&daemon, &kept[0].each_ref().map(damage))
        .await;
    // Each opens, but not in the place of the other.
    one.store(&daemon, &kept[2]).await;
    other.store(&daemon, &kept[1]).await;
    daemon.start_again().await;

    let mut sessions = Vec::new();
    for coach in [&damaged, &one, &other] {
        sessions.push(coach.report(&daemon).await);
    }
    let session = fine.report(&daemon).await;
    daemon
        .event(PROVIDER, fine.email, session.id, |_| true)
        .await;
    for coach in [&damaged, &one, &other] {
        coach.is_set_aside_with_a_reason(&daemon).await;
        assert!(daemon.events(PROVIDER, coach.email).is_empty());
    }

    for (coach, tokens) in [&damaged, &one, &other].into_iter().zip(&kept) {
        coach.store(&daemon, tokens).await;
    }
    daemon.advance(TimeDelta::minutes(6));
    for (coach, session) in [&damaged, &one, &other].into_iter().zip(&sessions) {
        daemon
            .event(PROVIDER, coach.email, session.id, |_| true)
            .await;
        let api = daemon.service();
        let connection = api.connection(coach.id, coach.connection).await;
        assert_eq!(connection["status"], "active");
    }
    daemon.no_duplicates();
}
