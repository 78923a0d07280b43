//! From "connect my calendar" to a stored connection, and back out of it.
//!
//! Owns what must be remembered between the two visits of a browser ([`start`](ConnectFlow::start)
//! and [`finish`](ConnectFlow::finish)), what binds them to each other (a single-use state, a cookie)
//! and the end of a grant ([`end`](ConnectFlow::end)). Leaves the HTTP form of it all to `api`, the
//! token endpoints to the rest of `oauth`, and the rows to `store`.

mod browser;
mod end;
mod finish;
mod start;
mod state;
mod under_way;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use browser::Browser;
pub use end::Ended;
pub use finish::{Callback, Connected, Finished};
pub use start::{StartRefused, Started};
pub use under_way::UnderWay;

use super::{AllowedOrigins, OAuthClient, ReturnAddress};
use crate::domain::{Clock, Entropy, ProviderKind};
use crate::provider::CalendarProvider;
use crate::security::KeyRing;
use crate::store::Store;

/// What signing in at one provider needs.
#[derive(Clone, Debug)]
pub struct SignInProvider {
    pub oauth: OAuthClient,
    pub calendars: Arc<dyn CalendarProvider>,
}

/// Connects calendar accounts and disconnects them.
#[derive(Clone, Debug)]
pub struct ConnectFlow {
    pub store: Store,
    pub keys: KeyRing,
    /// Those that are configured.
    pub providers: BTreeMap<ProviderKind, SignInProvider>,
    pub origins: AllowedOrigins,
    /// Where the browser goes when a sign-in named no address, or cannot be trusted.
    pub frontend: ReturnAddress,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Of the jobs of a first sync.
    pub max_attempts: i32,
    /// What is finished whoever waits for it.
    pub under_way: UnderWay,
}
