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
        "webhook secrets",
        "kept answers",
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

    let directory = tempfile::tempdir().expect("a directory");
    let below = directory.path().display();
    for (url, words) in [
        (
            "postgres://nobody@127.0.0.1:9/none".to_owned(),
            "not available",
        ),
        (
            "sqlite:///no/such/place/x.db?mode=rwc".to_owned(),
            "/no/such/place",
        ),
        (format!("sqlite://{below}/x.db?mode=rw"), "may not make it"),
        (format!("sqlite://{below}/x.db"), "may not make it"),
    ] {
        let found = findings(&daemon, &[("DATABASE_URL", &url)]).await;
        let (detail, remedy) = wrong(&found, "database");
        assert!(detail.contains(words), "{detail}");
        assert!(remedy.contains("DATABASE_URL"), "{remedy}");
    }
    // `serve` would make it: right before the first start, and a mistyped path at any other time.
    let url = format!("sqlite://{below}/x.db?mode=rwc");
    let found = findings(&daemon, &[("DATABASE_URL", &url)]).await;
    let database = found.iter().find(|finding| finding.subject == "database");
    let database = database.expect("it is looked at");
    assert_eq!(database.verdict, Verdict::Doubtful, "{database:?}");
    assert!(database.detail.contains("begin an empty one"));

    // Below a path of a proxy's, as the README has it.
    let path = "https://calendar.example.org/calendar";
    let below = format!("{path}/api/calendar-integration/callback");
    let public = [("PUBLIC_URL", path), ("GOOGLE_REDIRECT_URI", &below)];
    let found = findings(&daemon, &public).await;
    let subject = "Google redirect URI";
    let redirect = found.iter().find(|finding| finding.subject == subject);
    let redirect = redirect.expect("it is looked at");
    assert_eq!(redirect.verdict, Verdict::Good, "{redirect:?}");

    let no_keys = format!("{}nothing-is-here", daemon.url());
    for (jwks, words) in [
        ("http://127.0.0.1:9/keys", "cannot be reached"),
        (no_keys.as_str(), "status 404"),
    ] {
        let issuer = [("AUTH_JWT_SECRET", ""), ("AUTH_JWKS_URL", jwks)];
        let (detail, _) = wrong(&findings(&daemon, &issuer).await, "keys of API tokens");
        assert!(detail.contains(words), "{detail}");
    }

    // A table that cannot be read is no table that is not there.
    let away = "ALTER TABLE seaql_migrations RENAME COLUMN version TO its_version";
    daemon.database.run(away).await;
    let (detail, _) = wrong(&findings(&daemon, &[]).await, "schema");
    assert!(detail.contains("refused"), "{detail}");
    let back = "ALTER TABLE seaql_migrations RENAME COLUMN its_version TO version";
    daemon.database.run(back).await;

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
