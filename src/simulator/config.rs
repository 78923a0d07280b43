//! What a simulator is told at start: where to listen, who may sign in, how strict to be.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;

/// Everything a simulator is started with. The defaults behave as the providers' documents say.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Loopback only; port 0 takes a free one.
    pub bind: SocketAddr,
    pub limits: Limits,
    /// OAuth clients that Google knows. All belong to one project: a revocation ends their grants.
    pub google_clients: Vec<OAuthClient>,
    /// OAuth clients that Microsoft knows.
    pub microsoft_clients: Vec<OAuthClient>,
    /// Return addresses allowed beside plain HTTP ones on loopback, which always are.
    pub redirect_uris: Vec<Url>,
    /// Zone of an account that is created without naming one.
    pub time_zone: Tz,
    /// Decides shuffles and chances, so that a run can be repeated. Tokens do not come from it.
    pub seed: u64,
}

/// An application as registered with a provider.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    pub id: String,
    pub secret: SecretString,
}

impl OAuthClient {
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: SecretString::from(secret),
        }
    }
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            limits: Limits::default(),
            google_clients: vec![OAuthClient::new("demo-google-client", "demo-google-secret")],
            microsoft_clients: vec![OAuthClient::new(
                "demo-microsoft-client",
                "demo-microsoft-secret",
            )],
            redirect_uris: Vec::new(),
            time_zone: Tz::Europe__Berlin,
            seed: 1,
        }
    }
}

/// Quotas, lifetimes, and which of two outcomes to show where the documents leave it open.
#[derive(Clone, Debug)]
pub struct Limits {
    pub google_per_user: Window,
    pub google_per_project: Window,
    /// Most parts of one Google batch. The page says 1000, practice is 50.
    pub google_batch_parts: usize,
    /// Answers 403 to putting a cancelled event back, as one user of the real service saw.
    pub google_refuses_undelete: bool,
    /// Live refresh tokens per account and client; one more ends the oldest.
    pub refresh_tokens_per_account: usize,
    pub google_refresh_idle: Duration,
    pub microsoft_per_mailbox: Window,
    /// Calls under way at once for one mailbox.
    pub microsoft_concurrency: usize,
    pub microsoft_refresh_idle: Duration,
    /// A used refresh token dies at once. Off: it stays valid beside its successor.
    pub microsoft_strict_rotation: bool,
    /// Scopes are answered as `https://graph.microsoft.com/…` instead of the short names.
    pub microsoft_qualified_scopes: bool,
    /// HTTP status of `ErrorDuplicateTransactionId`: 400 is what clients saw, 409 what some assume.
    pub microsoft_duplicate_status: u16,
    /// Whether that error names the event that has the transaction id.
    pub microsoft_duplicate_names_event: bool,
    /// Whether a transaction id stays taken after its event was deleted.
    pub microsoft_transaction_outlives_event: bool,
    /// Whether a deleted event can still be read by its immutable id, from Deleted Items.
    pub microsoft_deleted_readable: bool,
    pub access_token_lifetime: Duration,
    pub code_lifetime: Duration,
    /// Caps every page of every list; only the link or token to the next page then tells the end.
    pub page_cap: Option<usize>,
    /// Time every API call takes. Zero: as fast as it goes.
    pub latency: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Self {
            google_per_user: Window::new(600, MINUTE),
            google_per_project: Window::new(10_000, MINUTE),
            google_batch_parts: 50,
            google_refuses_undelete: false,
            refresh_tokens_per_account: 100,
            google_refresh_idle: 180 * DAY,
            microsoft_per_mailbox: Window::new(10_000, 10 * MINUTE),
            microsoft_concurrency: 4,
            microsoft_refresh_idle: 90 * DAY,
            microsoft_strict_rotation: false,
            microsoft_qualified_scopes: false,
            microsoft_duplicate_status: 400,
            microsoft_duplicate_names_event: false,
            microsoft_transaction_outlives_event: true,
            microsoft_deleted_readable: false,
            access_token_lifetime: Duration::from_secs(3600),
            code_lifetime: 10 * MINUTE,
            page_cap: None,
            latency: Duration::ZERO,
        }
    }
}

/// So many units in any stretch of time of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub units: usize,
    pub length: Duration,
}

impl Window {
    pub fn new(units: usize, length: Duration) -> Self {
        Self { units, length }
    }
}
