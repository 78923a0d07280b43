//! The settings as a whole: defaults, precedence between them, and reports of what is wrong.

use std::collections::BTreeSet;

use super::*;
use crate::domain::SeededEntropy;
use crate::security::generate_key_line;
use secrecy::ExposeSecret;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn key_line() -> String {
    generate_key_line("k1", &SeededEntropy::from_seed(1))
        .expect("the id is allowed")
        .expose_secret()
        .to_owned()
}

/// The least that `serve` starts with, and `more`.
fn load(more: &[(&str, &str)]) -> Result<Config, Invalid> {
    let keys = key_line();
    let least = [
        ("TOKEN_ENCRYPTION_KEYS", keys.as_str()),
        ("AUTH_JWT_SECRET", SECRET),
    ];
    Config::load(&Sources::of_pairs(
        least.into_iter().chain(more.iter().copied()),
    ))
}

fn refused(pairs: &[(&str, &str)]) -> Vec<String> {
    let invalid = load(pairs).expect_err("refused");
    let problems = invalid.problems().iter();
    problems.map(|problem| problem.setting.clone()).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = load(&[]).expect("the defaults are allowed");
    assert_eq!(config.http.bind_address.to_string(), "127.0.0.1:3001");
    assert_eq!(
        config.http.frontend_url.as_str(),
        "http://localhost:3001/dashboard"
    );
    assert!(config.google.is_none() && config.microsoft.is_none());
    assert_eq!(config.sync.poll_interval, Duration::from_secs(120));
    assert_eq!(config.sync.max_attempts, 80);
    assert_eq!(config.sync.retry_base, Duration::from_secs(5));
    assert_eq!(config.sync.retry_cap, Duration::from_secs(3600));
    assert_eq!(config.lease_ttl, Duration::from_secs(15));
    assert_eq!(config.shutdown_deadline, Duration::from_secs(20));
    assert_eq!(config.audit_retention, Duration::from_secs(365 * 24 * 3600));
    assert_eq!(config.requests.per_coach.units.get(), 6000);
    assert!(config.requests.trusted_proxies.is_empty());
    assert_eq!(config.telemetry.format, LogFormat::Text);
    assert_eq!(config.database.kind, DatabaseKind::Sqlite);
}

#[test]
fn a_provider_is_on_with_id_and_secret_and_redirects_to_the_public_url() {
    let config = load(&[
        ("PUBLIC_URL", "https://cal.example.org"),
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "secret"),
        ("MICROSOFT_CLIENT_ID", "id"),
        ("MICROSOFT_CLIENT_SECRET", "secret"),
    ])
    .expect("allowed");
    let google = config.google.expect("Google is on");
    let callback = "https://cal.example.org/api/calendar-integration/callback";
    assert_eq!(google.redirect_uri.as_str(), callback);
    assert_eq!(
        google.limits.per_user,
        Quota::parse("600/1m").expect("a quota")
    );
    assert_eq!(
        google.limits.per_project,
        Quota::parse("10000/1m").expect("a quota")
    );
    let microsoft = config.microsoft.expect("Outlook is on");
    assert_eq!(microsoft.redirect_uri.as_str(), callback);
    assert_eq!(microsoft.tenant, "common");
    assert_eq!(
        microsoft.graph_url.as_str(),
        "https://graph.microsoft.com/v1.0"
    );
    assert_eq!(
        microsoft.limits.per_mailbox,
        Quota::parse("10000/10m").expect("a quota")
    );
    assert_eq!(microsoft.limits.concurrency_per_mailbox.get(), 4);
}

#[test]
fn a_quota_holds_the_dearest_call() {
    let limits = [
        "GOOGLE_LIMIT_PER_USER",
        "GOOGLE_LIMIT_PER_PROJECT",
        "MICROSOFT_LIMIT_PER_MAILBOX",
    ];
    let with = |limit| {
        let mut settings = vec![
            ("GOOGLE_CLIENT_ID", "id"),
            ("GOOGLE_CLIENT_SECRET", "secret"),
            ("MICROSOFT_CLIENT_ID", "id"),
            ("MICROSOFT_CLIENT_SECRET", "secret"),
        ];
        settings.extend(limits.map(|name| (name, limit)));
        settings
    };
    assert_eq!(refused(&with("2/1m")), limits);
    load(&with("3/1m")).expect("allowed");
}

#[test]
fn half_a_provider_is_a_problem_of_the_other_half() {
    assert_eq!(
        refused(&[("GOOGLE_CLIENT_ID", "id")]),
        ["GOOGLE_CLIENT_SECRET"]
    );
    assert_eq!(
        refused(&[("GOOGLE_CLIENT_SECRET", "s")]),
        ["GOOGLE_CLIENT_ID"]
    );
    assert_eq!(
        refused(&[("MICROSOFT_CLIENT_ID", "id")]),
        ["MICROSOFT_CLIENT_SECRET"]
    );
    assert_eq!(
        refused(&[("MICROSOFT_CLIENT_SECRET", "s")]),
        ["MICROSOFT_CLIENT_ID"]
    );
}

#[test]
fn serve_refuses_to_start_without_keys_and_trust() {
    let none: [(&str, &str); 0] = [];
    let invalid = Config::load(&Sources::of_pairs(none)).expect_err("refused");
    let names: Vec<_> = invalid.problems().iter().map(|p| &p.setting).collect();
    assert_eq!(names, ["TOKEN_ENCRYPTION_KEYS", "AUTH_JWT_SECRET"]);
}

/// A value that no setting allows, save those that take any line of text.
#[test]
fn all_wrong_settings_are_reported_at_once_without_their_values() {
    let any_line = [
        "GOOGLE_CLIENT_ID",
        "MICROSOFT_CLIENT_ID",
        "AUTH_ISSUER",
        "AUTH_AUDIENCE",
    ];
    let wrong = " \u{1}hunter2= ";
    let invalid =
        Config::load(&Sources::of_pairs(settings().map(|s| (s.name, wrong)))).expect_err("refused");
    let named: BTreeSet<_> = invalid
        .problems()
        .iter()
        .map(|p| p.setting.as_str())
        .collect();
    let all: BTreeSet<_> = settings().map(|setting| setting.name).collect();
    assert_eq!(named, all);
    let text = invalid.to_string();
    assert!(!text.contains("hunter2"));
    for name in any_line {
        assert!(text.contains(&format!("{name}: allowed is one line of text")));
    }
    assert!(text.contains("LEASE_TTL: allowed is a duration from 500ms to 5m, in h, m, s and ms"));
}

#[test]
fn bounds_hold_to_the_last_unit() {
    for (name, good, bad) in [
        ("LEASE_TTL", "500ms", "499ms"),
        ("LEASE_TTL", "5m", "5m1ms"),
        ("SYNC_MAX_ATTEMPTS", "10000", "10001"),
        ("SYNC_MAX_ATTEMPTS", "1", "0"),
        ("MICROSOFT_CONCURRENCY_PER_MAILBOX", "20", "21"),
        ("GOOGLE_LIMIT_PER_USER", "3/1m", "2/1m"),
        ("GOOGLE_API_URL", "http://127.0.0.1:9", "http://simulator:9"),
        ("RUST_LOG", "info,sqlx=warn", "calendar_integration=loud"),
        ("BIND_ADDRESS", "[::]:0", "localhost:3001"),
    ] {
        assert!(load(&[(name, good)]).is_ok(), "{name}={good}");
        assert_eq!(refused(&[(name, bad)]), [name], "{name}={bad}");
    }
}

#[test]
fn a_cap_below_the_base_is_refused() {
    let pairs = [("SYNC_RETRY_BASE", "10s"), ("SYNC_RETRY_CAP", "5s")];
    assert_eq!(refused(&pairs), ["SYNC_RETRY_CAP"]);
}

#[test]
fn every_secret_may_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{}\n", key_line())).expect("written");
    let sources = Sources::of_pairs([("TOKEN_ENCRYPTION_KEYS_FILE", file.path())]);
    assert!(KeyRing::load(&sources).is_ok());
    let secrets: Vec<_> = settings().filter(|s| s.secret).map(|s| s.name).collect();
    assert_eq!(
        secrets,
        [
            "DATABASE_URL",
            "GOOGLE_CLIENT_SECRET",
            "MICROSOFT_CLIENT_SECRET",
            "TOKEN_ENCRYPTION_KEYS",
            "AUTH_JWT_SECRET"
        ]
    );
}

#[test]
fn debug_of_the_whole_configuration_shows_no_secret() {
    let key = key_line();
    let config = load(&[
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "hunter2"),
        ("DATABASE_URL", "postgres://u:hunter2@host/name"),
    ])
    .expect("allowed");
    let shown = format!("{config:?}");
    let key_part = key.split(':').next_back().expect("a key");
    for secret in ["hunter2", SECRET, key_part] {
        assert!(!shown.contains(secret));
    }
}

#[test]
fn names_are_unique_and_the_table_has_them_all() {
    let names: BTreeSet<_> = settings().map(|setting| setting.name).collect();
    assert_eq!(names.len(), settings().count());
    let table = settings_table_markdown();
    assert!(
        names
            .iter()
            .all(|name| table.contains(&format!("`{name}`")))
    );
}

#[test]
fn the_readme_shows_the_table_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("the README can be read");
    assert!(
        readme.contains(&settings_table_markdown()),
        "put this into README.md:\n\n{}",
        settings_table_markdown()
    );
}
