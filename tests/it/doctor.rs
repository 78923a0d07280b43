//! `doctor`: what is wrong is found, explained, and comes with what to do.

use calendar_integration::doctor::{Finding, Verdict, examine};
use calendar_integration::domain::ProviderKind;
use uuid::Uuid;

use crate::support::{TestDaemon, is_postgres};

async fn findings(daemon: &TestDaemon, changed: &[(&'static str, &str)]) -> Vec<Finding> {
    examine(&daemon.sources(changed)).await
}

/// The one finding on this subject, which must be wrong and say how to mend it.
fn wrong(findings: &[Finding], subject: &str) -> (String, String) {
    let of_subject: Vec<_> = findings
        .iter()
        .filter(|finding| finding.subject == subject)
        .collect();
    assert_eq!(of_subject.len(), 1, "{subject}: {findings:#?}");
    let found = of_subject[0];
    assert_eq!(found.verdict, Verdict::Bad, "{found:#?}");
    (
        found.detail.clone(),
        found.remedy.clone().expect("a remedy"),
    )
}

/// What to do about the one finding on this subject, which works but should be looked at.
fn doubtful(findings: &[Finding], subject: &str) -> String {
    let found = findings.iter().find(|finding| finding.subject == subject);
    let found = found.unwrap_or_else(|| panic!("{subject}: {findings:#?}"));
    assert_eq!(found.verdict, Verdict::Doubtful, "{found:#?}");
    found.remedy.clone().expect("a remedy")
}

#[tokio::test]
async fn a_daemon_that_is_well_set_up_has_nothing_wrong() {
    let daemon = TestDaemon::start().await;
    daemon
        .connect(ProviderKind::Google, Uuid::new_v4(), "one@example.com")
        .await;
    let findings = findings(&daemon, &[]).await;
    assert!(
        findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Good),
        "{findings:#?}"
    );
    let mut expected = vec![
        "settings",
        "database",
        "schema",
        "stored tokens",
        "Google redirect URI",
        "Google client credentials",
        "clock against Google",
        "Outlook redirect URI",
        "Outlook client credentials",
        "clock against Outlook",
    ];
    // Each kind of database tells something of its own.
    expected.push(if is_postgres() {
        "clock against the database"
    } else {
        "disk"
    });
    for subject in expected {
        assert!(
            findings.iter().any(|finding| finding.subject == subject),
            "{subject}: {findings:#?}"
        );
    }
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_found_with_its_remedy() {
    let daemon = TestDaemon::start().await;
    daemon
        .connect(ProviderKind::Google, Uuid::new_v4(), "one@example.com")
        .await;

    let found = findings(&daemon, &[("LEASE_TTL", "soon"), ("AUTH_JWT_SECRET", "")]).await;
    let settings: Vec<_> = found
        .iter()
        .filter(|finding| finding.subject == "settings" && finding.verdict == Verdict::Bad)
        .map(|finding| finding.detail.as_str())
        .collect();
    assert_eq!(settings.len(), 2, "{found:#?}");
    assert!(settings.iter().any(|detail| detail.contains("LEASE_TTL")));

    let found = findings(&daemon, &[("GOOGLE_CLIENT_SECRET", "another")]).await;
    let (_, remedy) = wrong(&found, "Google client credentials");
    assert!(remedy.contains("compare id and secret"), "{remedy}");

    let elsewhere = "https://calendar.example.org/callback";
    let found = findings(&daemon, &[("GOOGLE_REDIRECT_URI", elsewhere)]).await;
    let (_, remedy) = wrong(&found, "Google redirect URI");
    assert!(
        remedy.contains("/api/calendar-integration/callback"),
        "{remedy}"
    );

    let elsewhere = "https://calendar.example.org/api/calendar-integration/callback";
    let found = findings(&daemon, &[("GOOGLE_REDIRECT_URI", elsewhere)]).await;
    let remedy = doubtful(&found, "Google redirect URI");
    assert!(remedy.contains("PUBLIC_URL"), "{remedy}");

    let other = "k2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
    let found = findings(&daemon, &[("TOKEN_ENCRYPTION_KEYS", other)]).await;
    let (detail, remedy) = wrong(&found, "stored tokens");
    assert!(detail.contains("k1"), "{detail}");
    assert!(remedy.contains("TOKEN_ENCRYPTION_KEYS"), "{remedy}");

    for url in [
        "postgres://nobody@127.0.0.1:9/none",
        "sqlite:///no/such/place/x.db?mode=rw",
    ] {
        let found = findings(&daemon, &[("DATABASE_URL", url)]).await;
        // A SQLite file that is not there is made by `serve`.
        if url.starts_with("postgres") {
            let (_, remedy) = wrong(&found, "database");
            assert!(remedy.contains("DATABASE_URL"), "{remedy}");
        } else {
            assert!(found.iter().any(|finding| finding.subject == "database"));
        }
    }

    let older = "DELETE FROM seaql_migrations \
                 WHERE version = (SELECT MAX(version) FROM seaql_migrations)";
    daemon.database.run(older).await;
    let remedy = doubtful(&findings(&daemon, &[]).await, "schema");
    assert!(remedy.contains("migrate up"), "{remedy}");

    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_newer', 1)";
    daemon.database.run(newer).await;
    let (detail, _) = wrong(&findings(&daemon, &[]).await, "schema");
    assert!(detail.contains("m9999_newer"), "{detail}");
}

#[tokio::test]
async fn grants_that_all_end_seven_days_after_consent_betray_a_project_in_testing() {
    let daemon = TestDaemon::start().await;
    for email in ["one@example.com", "two@example.com"] {
        let id = daemon
            .connect(ProviderKind::Google, Uuid::new_v4(), email)
            .await;
        daemon.service().settled(id).await;
    }
    // What a week and a refusal would have written.
    for statement in [
        "UPDATE audit_events SET at = '2027-01-01T10:00:00+00:00' WHERE action = 'connected'",
        "UPDATE coach_calendar_connections SET status = 'needs_reauth', \
         status_reason = 'The calendar account no longer accepts our access. Sign in again.', \
         updated_at = '2027-01-08T10:20:00+00:00'",
    ] {
        daemon.database.run(statement).await;
    }
    let found = findings(&daemon, &[]).await;
    let (detail, remedy) = wrong(&found, "Google consent screen");
    assert!(detail.starts_with("2 grants"), "{detail}");
    assert!(remedy.contains("In production"), "{remedy}");
}
