//! All settings in the order in which operators read them.

use super::setting::Setting;
use super::{
    AUDIT_RETENTION, LEASE_TTL, SHUTDOWN_DEADLINE, database, google, http, limits, microsoft,
    requests, security, sync, telemetry, webhooks,
};

/// Settings that belong together.
#[derive(Debug)]
pub struct Group {
    pub title: &'static str,
    pub settings: &'static [&'static Setting],
}

pub static GROUPS: [Group; 8] = [
    Group {
        title: "Daemon",
        settings: &[
            &database::DATABASE_URL,
            &http::BIND_ADDRESS,
            &http::PUBLIC_URL,
            &http::FRONTEND_URL,
            &http::CORS_ORIGINS,
            &LEASE_TTL,
            &SHUTDOWN_DEADLINE,
            &AUDIT_RETENTION,
        ],
    },
    Group {
        title: "Google",
        settings: &[
            &google::GOOGLE_CLIENT_ID,
            &google::GOOGLE_CLIENT_SECRET,
            &google::GOOGLE_REDIRECT_URI,
            &limits::GOOGLE_LIMIT_PER_USER,
            &limits::GOOGLE_LIMIT_PER_PROJECT,
            &google::GOOGLE_AUTH_URL,
            &google::GOOGLE_TOKEN_URL,
            &google::GOOGLE_REVOKE_URL,
            &google::GOOGLE_USERINFO_URL,
            &google::GOOGLE_API_URL,
        ],
    },
    Group {
        title: "Microsoft",
        settings: &[
            &microsoft::MICROSOFT_CLIENT_ID,
            &microsoft::MICROSOFT_CLIENT_SECRET,
            &microsoft::MICROSOFT_REDIRECT_URI,
            &microsoft::MICROSOFT_TENANT,
            &limits::MICROSOFT_LIMIT_PER_MAILBOX,
            &limits::MICROSOFT_CONCURRENCY_PER_MAILBOX,
            &microsoft::MICROSOFT_LOGIN_URL,
            &microsoft::MICROSOFT_GRAPH_URL,
        ],
    },
    Group {
        title: "Security",
        settings: &[
            &security::TOKEN_ENCRYPTION_KEYS,
            &security::AUTH_JWT_SECRET,
            &security::AUTH_JWKS_URL,
            &security::AUTH_ISSUER,
            &security::AUTH_AUDIENCE,
        ],
    },
    Group {
        title: "Requests",
        settings: &[
            &requests::REQUEST_LIMIT_PER_COACH,
            &requests::REQUEST_LIMIT_PER_SERVICE,
            &requests::REQUEST_LIMIT_PER_ADDRESS,
            &requests::TRUSTED_PROXIES,
        ],
    },
    Group {
        title: "Sync",
        settings: &[
            &sync::SYNC_POLL_INTERVAL,
            &sync::SYNC_MAX_ATTEMPTS,
            &sync::SYNC_RETRY_BASE,
            &sync::SYNC_RETRY_CAP,
            &sync::FRESHNESS_OBJECTIVE,
        ],
    },
    Group {
        title: "Webhooks",
        settings: &[
            &webhooks::WEBHOOK_ALLOW_PRIVATE_ADDRESSES,
            &webhooks::WEBHOOK_RETENTION,
        ],
    },
    Group {
        title: "Logs and traces",
        settings: &[
            &telemetry::LOG_FORMAT,
            &telemetry::RUST_LOG,
            &telemetry::OTEL_EXPORTER_OTLP_ENDPOINT,
        ],
    },
];

/// Every setting there is.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings).copied()
}

/// The settings as a Markdown table, for the README.
pub fn settings_table_markdown() -> String {
    let mut table = String::from("| variable | default | meaning | allowed |\n|---|---|---|---|\n");
    for setting in settings() {
        let name = match setting.file_name() {
            None => format!("`{}`", setting.name),
            Some(file_name) => format!("`{}` or `{file_name}`", setting.name),
        };
        let default = match setting.default {
            super::Preset::Value(text) => format!("`{text}`"),
            super::Preset::Unset(_) => setting.default.to_string(),
        };
        let allowed = setting.allowed.to_string();
        table.push_str(&format!(
            "| {name} | {default} | {} | {} |\n",
            setting.meaning.replace('|', "\\|"),
            allowed.replace('|', "\\|"),
        ));
    }
    table
}
