//! No token lies about in plain text, and keys are exchanged while the daemon serves.

use std::os::unix::fs::PermissionsExt;

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use uuid::Uuid;

use crate::key_rotation::rotate;
use crate::support::{COACH_EMAIL, Session, Setup, TestDaemon, TestDatabase, eventually};

const OLD_KEY: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW_KEY: &str = "k2:HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo=";

/// How the providers' tokens begin: Google's, Microsoft's, and codes.
const PLAIN: [&str; 5] = ["ya29.", "1//0", "4/0A", "EwB", "M.C5"];

/// Every text in the tables that know tokens.
async fn secrets(database: &TestDatabase) -> Vec<String> {
    let query = "SELECT access_token FROM coach_calendar_connections WHERE access_token IS NOT NULL \
                 UNION ALL SELECT refresh_token FROM coach_calendar_connections \
                 WHERE refresh_token IS NOT NULL UNION ALL SELECT verifier FROM sign_ins";
    database.texts(query, 0).await
}

#[tokio::test]
async fn tokens_are_sealed_wherever_they_are_kept() {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
        // One more under way.
        let path = format!("connect/{provider}/{coach}");
        daemon.coach(coach).get(&path).await.expect(200);
    }
    let kept = secrets(&daemon.database).await;
    assert_eq!(kept.len(), 6);
    for secret in &kept {
        assert!(secret.starts_with("v1.k1."), "{secret}");
    }
    daemon.stop().await;
    if let TestDatabase::Sqlite(directory) = &daemon.database {
        for entry in std::fs::read_dir(directory.path()).expect("a directory") {
            let path = entry.expect("an entry").path();
            if !path.to_string_lossy().ends_with(".lock") {
                let mode = path.metadata().expect("there").permissions().mode();
                assert_eq!(mode & 0o077, 0, "{} is for others to read", path.display());
            }
            let content = std::fs::read(&path).expect("a file");
            for plain in PLAIN {
                let found = content
                    .windows(plain.len())
                    .any(|part| part == plain.as_bytes());
                // Three letters may turn up in ciphertext; in front of a token they mean it.
                let is_token = plain.len() > 3 && found;
                assert!(!is_token, "{plain} in {}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn keys_are_exchanged_while_the_daemon_serves() {
    let mut daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    for provider in ProviderKind::ALL {
        daemon.connect(provider, coach, COACH_EMAIL).await;
    }
    daemon.stop().await;
    let both = format!("{NEW_KEY},{OLD_KEY}");
    daemon.start_with(&[("TOKEN_ENCRYPTION_KEYS", &both)]).await;

    let rotated = rotate(&daemon, &both).await;
    let told = String::from_utf8_lossy(&rotated.stdout).into_owned();
    let trouble = String::from_utf8_lossy(&rotated.stderr).into_owned();
    assert!(rotated.status.success(), "{told}{trouble}");
    for secret in secrets(&daemon.database).await {
        assert!(secret.starts_with("v1.k2."), "{secret}");
    }
    let trail = daemon
        .admin()
        .get("audit?action=key_rotation_started")
        .await;
    let trail = trail.expect(200);
    assert_eq!(trail["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(trail["events"][0]["role"], "command_line");
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }

    // The old key is no longer needed.
    daemon.stop().await;
    daemon
        .start_with(&[("TOKEN_ENCRYPTION_KEYS", NEW_KEY)])
        .await;
    let session = Session::tomorrow(coach, daemon.now());
    daemon.service().report(&session).await;
    for provider in ProviderKind::ALL {
        daemon
            .event(provider, COACH_EMAIL, session.id, |_| true)
            .await;
    }
}

#[tokio::test]
async fn a_connection_whose_key_is_missing_waits_for_it_or_for_a_new_sign_in() {
    let mut daemon = Setup::with_manual_clock().start().await;
    let coach = Uuid::new_v4();
    let google = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let outlook = daemon
        .connect(ProviderKind::Outlook, coach, COACH_EMAIL)
        .await;
    daemon.stop().await;
    daemon
        .start_with(&[("TOKEN_ENCRYPTION_KEYS", NEW_KEY)])
        .await;
    let session = Session::tomorrow(coach, daemon.now());
    let service = daemon.service();
    service.report(&session).await;
    for id in [google, outlook] {
        eventually("it is set aside", async || {
            let connection = service.connection(coach, id).await;
            (connection["status"] == "quarantined").then_some(())
        })
        .await;
    }
    let again = daemon
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    assert_eq!(again, google);
    daemon
        .event(ProviderKind::Google, COACH_EMAIL, session.id, |_| true)
        .await;

    daemon.stop().await;
    let both = format!("{NEW_KEY},{OLD_KEY}");
    daemon.start_with(&[("TOKEN_ENCRYPTION_KEYS", &both)]).await;
    eventually("the other one is back by itself", async || {
        daemon.advance(TimeDelta::seconds(10));
        let events = daemon.events(ProviderKind::Outlook, COACH_EMAIL);
        (events.len() == 1).then_some(())
    })
    .await;
    let connection = daemon.service().connection(coach, outlook).await;
    assert_eq!(connection["status"], "active");
}
