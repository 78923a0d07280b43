//! Microsoft (Outlook) as a provider.

use secrecy::SecretString;
use url::Url;

use super::address;
use super::limits::MicrosoftLimits;
use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static MICROSOFT_CLIENT_ID: Setting = Setting {
    name: "MICROSOFT_CLIENT_ID",
    default: Preset::Unset("Outlook is off"),
    meaning: "application (client) id at Microsoft",
    allowed: Allowed::Words("one line of text, together with MICROSOFT_CLIENT_SECRET"),
    secret: false,
};

pub(super) static MICROSOFT_CLIENT_SECRET: Setting = Setting {
    name: "MICROSOFT_CLIENT_SECRET",
    default: Preset::Unset("Outlook is off"),
    meaning: "value (not id) of the application's client secret at Microsoft",
    allowed: Allowed::Words("a text, together with MICROSOFT_CLIENT_ID"),
    secret: true,
};

pub(super) static MICROSOFT_REDIRECT_URI: Setting = Setting {
    name: "MICROSOFT_REDIRECT_URI",
    default: Preset::Value("${PUBLIC_URL}/api/calendar-integration/callback"),
    meaning: "where Microsoft sends the browser back to; registered there, character by character",
    allowed: Allowed::Words(address::WEB),
    secret: false,
};

pub(super) static MICROSOFT_TENANT: Setting = Setting {
    name: "MICROSOFT_TENANT",
    default: Preset::Value("common"),
    meaning: "tenant segment of the authority",
    allowed: Allowed::Words("common, organizations, consumers, a tenant id or a tenant's domain"),
    secret: false,
};

pub(super) static MICROSOFT_LOGIN_URL: Setting = Setting {
    name: "MICROSOFT_LOGIN_URL",
    default: Preset::Value("https://login.microsoftonline.com"),
    meaning: "under which /{tenant}/oauth2/v2.0/authorize and /token lie",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

pub(super) static MICROSOFT_GRAPH_URL: Setting = Setting {
    name: "MICROSOFT_GRAPH_URL",
    default: Preset::Value("https://graph.microsoft.com/v1.0"),
    meaning: "Microsoft Graph, with its version",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

#[derive(Clone, Debug)]
pub struct MicrosoftConfig {
    pub client_id: String,
    pub client_secret: SecretString,
    pub redirect_uri: Url,
    pub tenant: String,
    /// Paths are appended; without a slash at its end, unless the path is that slash alone.
    pub login_url: Url,
    /// As `login_url`.
    pub graph_url: Url,
    pub limits: MicrosoftLimits,
}

/// `None` while neither id nor secret is set.
impl Section for Option<MicrosoftConfig> {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let client_id = reader.line(&MICROSOFT_CLIENT_ID);
        let client_secret = reader.secret(&MICROSOFT_CLIENT_SECRET, |text| text.trim() == text);
        let redirect_uri = reader.web_url(&MICROSOFT_REDIRECT_URI);
        let tenant = reader.parse(&MICROSOFT_TENANT, |text| {
            is_tenant(text).then(|| text.to_owned())
        });
        let login_url = reader.endpoint(&MICROSOFT_LOGIN_URL);
        let graph_url = reader.endpoint(&MICROSOFT_GRAPH_URL);
        let limits = MicrosoftLimits::read(reader);
        if client_id.is_none() && client_secret.is_none() {
            return Some(None);
        }
        let client_id = reader.require(
            &MICROSOFT_CLIENT_ID,
            client_id,
            "missing, while MICROSOFT_CLIENT_SECRET is set",
        );
        let client_secret = reader.require(
            &MICROSOFT_CLIENT_SECRET,
            client_secret,
            "missing, while MICROSOFT_CLIENT_ID is set",
        );
        Some(Some(MicrosoftConfig {
            client_id: client_id?,
            client_secret: client_secret?,
            redirect_uri: redirect_uri?,
            tenant: tenant?,
            login_url: login_url?,
            graph_url: graph_url?,
            limits: limits?,
        }))
    }
}

/// One path segment that needs no escaping: a word, a UUID or a domain.
fn is_tenant(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_stays_one_segment_of_the_path() {
        for tenant in [
            "common",
            "contoso.onmicrosoft.com",
            "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
        ] {
            assert!(is_tenant(tenant), "{tenant}");
        }
        for tenant in ["", "a/b", "..", "a b", "a?b", "ä"] {
            assert!(!is_tenant(tenant), "{tenant}");
        }
    }
}
