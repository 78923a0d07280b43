//! Google as a provider.

use secrecy::SecretString;
use url::Url;

use super::address;
use super::limits::GoogleLimits;
use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};

pub(super) static GOOGLE_CLIENT_ID: Setting = Setting {
    name: "GOOGLE_CLIENT_ID",
    default: Preset::Unset("Google is off"),
    meaning: "client id of the project at Google",
    allowed: Allowed::Words("one line of text, together with GOOGLE_CLIENT_SECRET"),
    secret: false,
};

pub(super) static GOOGLE_CLIENT_SECRET: Setting = Setting {
    name: "GOOGLE_CLIENT_SECRET",
    default: Preset::Unset("Google is off"),
    meaning: "client secret of the project at Google",
    allowed: Allowed::Words("a text, together with GOOGLE_CLIENT_ID"),
    secret: true,
};

pub(super) static GOOGLE_REDIRECT_URI: Setting = Setting {
    name: "GOOGLE_REDIRECT_URI",
    default: Preset::Value("${PUBLIC_URL}/api/calendar-integration/callback"),
    meaning: "where Google sends the browser back to; registered there, character by character",
    allowed: Allowed::Words(address::WEB),
    secret: false,
};

pub(super) static GOOGLE_AUTH_URL: Setting = Setting {
    name: "GOOGLE_AUTH_URL",
    default: Preset::Value("https://accounts.google.com/o/oauth2/v2/auth"),
    meaning: "Google's consent page",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

pub(super) static GOOGLE_TOKEN_URL: Setting = Setting {
    name: "GOOGLE_TOKEN_URL",
    default: Preset::Value("https://oauth2.googleapis.com/token"),
    meaning: "Google's token endpoint",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

pub(super) static GOOGLE_REVOKE_URL: Setting = Setting {
    name: "GOOGLE_REVOKE_URL",
    default: Preset::Value("https://oauth2.googleapis.com/revoke"),
    meaning: "Google's revocation endpoint",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

pub(super) static GOOGLE_USERINFO_URL: Setting = Setting {
    name: "GOOGLE_USERINFO_URL",
    default: Preset::Value("https://www.googleapis.com/oauth2/v2/userinfo"),
    meaning: "Google's account endpoint",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

pub(super) static GOOGLE_API_URL: Setting = Setting {
    name: "GOOGLE_API_URL",
    default: Preset::Value("https://www.googleapis.com"),
    meaning: "under which /calendar/v3 and /batch/calendar/v3 lie",
    allowed: Allowed::Words(address::ENDPOINT),
    secret: false,
};

#[derive(Clone, Debug)]
pub struct GoogleConfig {
    pub client_id: String,
    pub client_secret: SecretString,
    pub redirect_uri: Url,
    pub auth_url: Url,
    pub token_url: Url,
    pub revoke_url: Url,
    pub userinfo_url: Url,
    /// Paths are appended; without a slash at its end, unless the path is that slash alone.
    pub api_url: Url,
    pub limits: GoogleLimits,
}

/// `None` while neither id nor secret is set.
impl Section for Option<GoogleConfig> {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let client_id = reader.line(&GOOGLE_CLIENT_ID);
        let client_secret = reader.secret(&GOOGLE_CLIENT_SECRET, |text| text.trim() == text);
        let redirect_uri = reader.web_url(&GOOGLE_REDIRECT_URI);
        let auth_url = reader.endpoint(&GOOGLE_AUTH_URL);
        let token_url = reader.endpoint(&GOOGLE_TOKEN_URL);
        let revoke_url = reader.endpoint(&GOOGLE_REVOKE_URL);
        let userinfo_url = reader.endpoint(&GOOGLE_USERINFO_URL);
        let api_url = reader.endpoint(&GOOGLE_API_URL);
        let limits = GoogleLimits::read(reader);
        if client_id.is_none() && client_secret.is_none() {
            return Some(None);
        }
        let client_id = reader.require(
            &GOOGLE_CLIENT_ID,
            client_id,
            "missing, while GOOGLE_CLIENT_SECRET is set",
        );
        let client_secret = reader.require(
            &GOOGLE_CLIENT_SECRET,
            client_secret,
            "missing, while GOOGLE_CLIENT_ID is set",
        );
        Some(Some(GoogleConfig {
            client_id: client_id?,
            client_secret: client_secret?,
            redirect_uri: redirect_uri?,
            auth_url: auth_url?,
            token_url: token_url?,
            revoke_url: revoke_url?,
            userinfo_url: userinfo_url?,
            api_url: api_url?,
            limits: limits?,
        }))
    }
}
