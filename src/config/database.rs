//! Where everything is kept.

use secrecy::SecretString;
use url::Url;

use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static DATABASE_URL: Setting = Setting {
    name: "DATABASE_URL",
    default: Preset::Value("sqlite://calendar-integration.db?mode=rwc"),
    meaning: "where everything is kept; several nodes share one PostgreSQL",
    allowed: Allowed::Words(
        "sqlite:// with the path of a file, or postgres:// with user, host and database",
    ),
    secret: true,
};

#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Secret, for it may hold a password.
    pub url: SecretString,
    pub kind: DatabaseKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl Section for DatabaseConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.parse(&DATABASE_URL, |text| {
            Some(Self {
                kind: kind_of(text)?,
                url: SecretString::from(text),
            })
        })
    }
}

fn kind_of(text: &str) -> Option<DatabaseKind> {
    if let Some(rest) = text.strip_prefix("sqlite://") {
        let path = rest.split('?').next().unwrap_or_default();
        // A database in memory would lose acknowledged changes, and every pooled connection would
        // see one of its own.
        let is_file = !path.is_empty() && path != ":memory:" && !rest.contains("mode=memory");
        return is_file.then_some(DatabaseKind::Sqlite);
    }
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "postgres" | "postgresql").then_some(DatabaseKind::Postgres)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn files_and_postgres_servers_are_taken_and_nothing_else() {
        for (url, kind) in [
            ("sqlite://data.db", DatabaseKind::Sqlite),
            ("sqlite:///var/lib/data.db?mode=rwc", DatabaseKind::Sqlite),
            ("postgres://user:pass@host/name", DatabaseKind::Postgres),
            ("postgresql://host/name", DatabaseKind::Postgres),
        ] {
            assert_eq!(kind_of(url), Some(kind), "{url}");
        }
        for url in [
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://",
            "sqlite://x?mode=memory",
            "mysql://host/name",
            "data.db",
            "",
        ] {
            assert_eq!(kind_of(url), None, "{url}");
        }
    }

    #[test]
    fn the_password_is_shown_neither_by_debug_nor_by_a_problem() {
        let good = Sources::of_pairs([("DATABASE_URL", "postgres://u:hunter2@host/name")]);
        let config = DatabaseConfig::load(&good).expect("allowed");
        assert!(!format!("{config:?}").contains("hunter2"));
        let bad = Sources::of_pairs([("DATABASE_URL", "mysql://u:hunter2@host/name")]);
        let invalid = DatabaseConfig::load(&bad).expect_err("refused");
        assert!(!format!("{invalid} {invalid:?}").contains("hunter2"));
    }
}
