//! The first visit: remember who asked, and say where to go.

use chrono::TimeDelta;
use secrecy::ExposeSecret;
use url::Url;

use super::state::hash;
use super::{Browser, ConnectFlow};
use crate::domain::{Actor, CoachId, Entropy, ProviderKind, Timestamp};
use crate::oauth::{ReturnAddress, ReturnAddressRefused};
use crate::security::places;
use crate::store::{SignIn, StoreError};

/// How long a consent screen may stay open.
pub(super) const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// A sign-in that was begun.
pub struct Started {
    /// Where to send the browser. Holds the state: to be handed out, not logged.
    pub authorization_url: Url,
    pub expires_at: Timestamp,
    /// The browser that may finish it.
    pub browser: Browser,
}

impl Started {
    /// The value of `Set-Cookie`, good for as long as the sign-in.
    pub fn set_cookie(&self, path: &str, secure: bool) -> String {
        self.browser
            .set_cookie(path, secure, LIFETIME.num_seconds())
    }
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why no sign-in was begun.
#[derive(Debug, thiserror::Error)]
pub enum StartRefused {
    #[error("this provider is not configured here")]
    NotConfigured,
    #[error(transparent)]
    ReturnAddress(#[from] ReturnAddressRefused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConnectFlow {
    /// Begins a sign-in of this coach. `browser` is the one that asked, if it is known, in the name of
    /// `asked_by`.
    pub async fn start(
        &self,
        provider: ProviderKind,
        coach_id: CoachId,
        return_to: Option<&str>,
        browser: Option<Browser>,
        asked_by: Actor,
    ) -> Result<Started, StartRefused> {
        let clients = self
            .providers
            .get(&provider)
            .ok_or(StartRefused::NotConfigured)?;
        let return_to = match return_to {
            Some(text) => ReturnAddress::parse(text, &self.origins)?,
            None => self.frontend.clone(),
        };
        let now = self.clock.now();
        let authorization = clients.oauth.authorize(&*self.entropy);
        let browser = browser.unwrap_or_else(|| Browser::new(&*self.entropy));
        let id = random_id(&*self.entropy);
        let sealed = self.keys.seal(
            &authorization.verifier,
            places::verifier(id),
            &*self.entropy,
        );
        let sign_in = SignIn {
            state_hash: hash(authorization.state.expose_secret()),
            id,
            provider,
            coach_id,
            browser_hash: browser.hash(),
            sealed_verifier: sealed.into_string(),
            return_to: return_to.as_str().to_owned(),
            asked_by: Some(asked_by),
            expires_at: now + LIFETIME,
        };
        self.store.begin_sign_in(&sign_in, now).await?;
        Ok(Started {
            authorization_url: authorization.url,
            expires_at: sign_in.expires_at,
            browser,
        })
    }
}

fn random_id(entropy: &dyn Entropy) -> uuid::Uuid {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
