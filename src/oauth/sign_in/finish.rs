//! The second visit: the provider sends the browser back with a code, or with a refusal.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::state::{MAX_STATE_LENGTH, hash};
use super::{Browser, ConnectFlow, SignInProvider};
use crate::domain::{
    Actor, ActorRole, Calendar, Cause, CoachId, ConnectionId, Origin, SyncFailure, SyncId,
    Timestamp,
};
use crate::oauth::{CallbackError, ExchangeFailure, Grant, ReturnAddress};
use crate::provider::{Access, Account, Budget};
use crate::security::Sealed;
use crate::security::places;
use crate::store::{NewConnection, NotConnected, SealedTokens, SignIn, StoreError};

/// Longer than any code either provider documents.
const MAX_CODE_LENGTH: usize = 4096;
/// How long the provider may take with all that a callback asks of it: the browser is waiting, and what
/// was granted is still to be stored.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to store a connection. The account may have been connected in another browser at the same
/// moment, and PostgreSQL may have ended our transaction for another's sake; for such a moment no coach
/// is sent through the consent screen again.
const CONNECT_ROUNDS: usize = 3;

/// The parameters of the provider's redirect to us.
#[derive(Default)]
pub struct Callback {
    pub state: Option<String>,
    pub code: Option<SecretString>,
    pub error: Option<String>,
    /// Who says so (`iss`), if the provider tells.
    pub issuer: Option<String>,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback(redacted)")
    }
}

/// What a sign-in connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    pub coach_id: CoachId,
    pub connection_id: ConnectionId,
}

/// How a sign-in ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where to send the browser.
    pub location: Url,
    pub outcome: Result<Connected, CallbackError>,
}

/// Why a believed sign-in came to nothing. What the browser is told is decided here; the rest is
/// for the log.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the browser was told: {0}")]
    Told(CallbackError),
    #[error("the redirect names another issuer than the provider that was asked")]
    OtherIssuer,
    #[error("the code was not exchanged")]
    Exchange(#[source] ExchangeFailure),
    #[error("the account's calendars could not be read")]
    Calendar(#[source] SyncFailure),
    #[error("the account has no calendar that can be written to")]
    NoCalendar,
    #[error("it took too long")]
    TooSlow,
    #[error("it panicked")]
    Panicked,
    #[error("the verifier cannot be opened with the present keys")]
    Unreadable(#[source] crate::security::Unreadable),
    #[error("the connection was not stored")]
    Store(#[from] StoreError),
    #[error("the account kept changing its connection")]
    Unsettled,
    #[error("the coach was forgotten meanwhile")]
    Forgotten,
}

impl Failure {
    fn told(&self) -> CallbackError {
        match self {
            Self::Told(error) => *error,
            Self::Exchange(failure) => failure.callback_error(),
            Self::Calendar(_) | Self::NoCalendar => CallbackError::CalendarAccessFailed,
            Self::Forgotten => CallbackError::InvalidState,
            Self::TooSlow | Self::OtherIssuer => CallbackError::ProviderError,
            Self::Unreadable(_) | Self::Store(_) | Self::Unsettled | Self::Panicked => {
                CallbackError::ExchangeFailed
            }
        }
    }
}

/// A sign-in is a few calls once in a while, and a coach is waiting: not worth a share of the limits.
struct Unlimited;

impl Budget for Unlimited {
    fn charge(&self, _units: u32) -> Result<(), SyncFailure> {
        Ok(())
    }
}

impl ConnectFlow {
    /// Where a browser is sent that came back at a bad moment. Its sign-in is not used up.
    pub fn turn_away(&self) -> Url {
        self.frontend.failed(CallbackError::ExchangeFailed, None)
    }

    /// Finishes a sign-in. The browser is sent back whatever happened, and after `patience` at the
    /// latest; what was begun goes on without it, and `told` hears of a connection also then.
    pub async fn finish(
        self: &Arc<Self>,
        callback: Callback,
        browser: Option<Browser>,
        cause: Cause,
        patience: Duration,
        told: impl FnOnce(Connected) + Send + 'static,
    ) -> Finished {
        let state_hash = match state_hash(&callback) {
            Ok(state_hash) => state_hash,
            Err(error) => return self.distrusted(error),
        };
        let browser_hash = browser.as_ref().map(Browser::hash);
        let visit = (state_hash.clone(), browser_hash.clone());
        let flow = self.clone();
        let finishing = async move {
            let ends = Instant::now() + patience;
            match flow.believed(&state_hash, browser_hash.as_deref()).await {
                Ok(sign_in) => flow.go_on(sign_in, callback, cause, ends, told).await,
                Err(error) => flow.distrusted(error),
            }
        };
        let finished = self.under_way.visit(visit, finishing).await;
        finished.unwrap_or_else(|| self.distrusted(CallbackError::ExchangeFailed))
    }

    /// Nothing of such a request can be trusted, the provider and the way back included.
    fn distrusted(&self, error: CallbackError) -> Finished {
        Finished {
            location: self.frontend.failed(error, None),
            outcome: Err(error),
        }
    }

    /// Connects for as long as it takes, and answers for the browser at `ends`.
    async fn go_on(
        self: &Arc<Self>,
        sign_in: SignIn,
        callback: Callback,
        cause: Cause,
        ends: Instant,
        told: impl FnOnce(Connected) + Send + 'static,
    ) -> Finished {
        // Allowed when it was stored; the settings may have changed since.
        let back = ReturnAddress::parse(&sign_in.return_to, &self.origins)
            .unwrap_or_else(|_| self.frontend.clone());
        let (provider, coach_id) = (sign_in.provider, sign_in.coach_id);
        let flow = self.clone();
        let connecting = self.under_way.spawn(async move {
            let connection_id = flow.connect(sign_in, callback, cause).await?;
            let connected = Connected {
                coach_id,
                connection_id,
            };
            told(connected);
            Ok(connected)
        });
        let connected = match timeout_at(ends, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => Err(Failure::Panicked),
            Err(_) => Err(Failure::TooSlow),
        };
        match connected {
            Ok(connected) => Finished {
                location: back.connected(provider, connected.connection_id),
                outcome: Ok(connected),
            },
            Err(failure) => {
                let error = failure.told();
                tracing::warn!(
                    %provider,
                    code = %error,
                    error = &failure as &dyn std::error::Error,
                    "sign-in failed"
                );
                Finished {
                    location: back.failed(error, Some(provider)),
                    outcome: Err(error),
                }
            }
        }
    }

    /// Uses up the sign-in that belongs to this state, so that it works once, and sees whether it is
    /// this browser's.
    async fn believed(
        &self,
        state_hash: &str,
        browser_hash: Option<&str>,
    ) -> Result<SignIn, CallbackError> {
        let taken = self.store.take_sign_in(state_hash).await;
        let taken = taken.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "sign-in could not be looked up"
            );
            CallbackError::ExchangeFailed
        })?;
        taken
            .filter(|sign_in| {
                // Both are hashes of secrets: comparing them tells an onlooker nothing.
                browser_hash == Some(sign_in.browser_hash.as_str())
            })
            .ok_or(CallbackError::InvalidState)
    }

    async fn connect(
        &self,
        sign_in: SignIn,
        callback: Callback,
        cause: Cause,
    ) -> Result<ConnectionId, Failure> {
        if sign_in.expires_at <= self.clock.now() {
            return Err(Failure::Told(CallbackError::ExpiredState));
        }
        let clients = self
            .providers
            .get(&sign_in.provider)
            .ok_or(Failure::Told(CallbackError::ProviderError))?;
        if let Some(issuer) = callback.issuer
            && !clients.oauth.is_called(&issuer)
        {
            return Err(Failure::OtherIssuer);
        }
        if let Some(error) = callback.error {
            return Err(Failure::Told(CallbackError::from_provider(&error)));
        }
        let code = callback
            .code
            .filter(|code| !code.expose_secret().is_empty())
            .ok_or(Failure::Told(CallbackError::MissingParameters))?;
        if code.expose_secret().len() > MAX_CODE_LENGTH {
            return Err(Failure::Told(CallbackError::ExchangeFailed));
        }
        let sealed = Sealed::from_stored(sign_in.sealed_verifier.clone());
        let opened = self.keys.open(&sealed, places::verifier(sign_in.id));
        let pkce = opened.map_err(Failure::Unreadable)?;

        let asked = tokio::time::timeout(PATIENCE, self.ask(clients, &code, &pkce)).await;
        let (grant, account, calendar) = asked.map_err(|_| Failure::TooSlow)??;
        let origin = Origin {
            actor: who_asked(&sign_in),
            cause,
        };
        self.settle(&sign_in, grant, account, calendar, origin)
            .await
    }

    /// Everything that is asked of the provider: access, whose it is, and that its calendar answers.
    async fn ask(
        &self,
        clients: &SignInProvider,
        code: &SecretString,
        pkce: &SecretString,
    ) -> Result<(Grant, Account, Calendar), Failure> {
        let grant = clients
            .oauth
            .exchange(code, pkce, &*self.clock)
            .await
            .map_err(Failure::Exchange)?;
        let access = Access {
            token: &grant.access_token,
            budget: &Unlimited,
        };
        let account = clients.calendars.account(access).await;
        let account = account.map_err(Failure::Calendar)?;
        let calendars = clients.calendars.calendars(access).await;
        let mut calendars = calendars.map_err(Failure::Calendar)?;
        let primary = calendars.iter().position(|calendar| calendar.primary);
        if calendars.is_empty() {
            return Err(Failure::NoCalendar);
        }
        let calendar = calendars.swap_remove(primary.unwrap_or(0));
        Ok((grant, account, calendar))
    }

    /// Stores the account under its own id: the one it had before, or a fresh one.
    async fn settle(
        &self,
        sign_in: &SignIn,
        grant: Grant,
        account: Account,
        primary_calendar: Calendar,
        origin: Origin,
    ) -> Result<ConnectionId, Failure> {
        let now = self.clock.now();
        let new = NewConnection {
            fresh_id: ConnectionId::generate(now, &*self.entropy),
            fresh_sync_id: SyncId::generate(now, &*self.entropy),
            state_hash: sign_in.state_hash.clone(),
            coach_id: sign_in.coach_id,
            provider: sign_in.provider,
            account_id: account.id,
            account_email: account.email,
            primary_calendar,
            max_attempts: self.max_attempts,
            origin,
            now,
        };
        let refresh = grant
            .refresh_token
            .ok_or(Failure::Exchange(ExchangeFailure::NoRefreshToken))?;
        let seal = |id| self.sealed(id, &grant.access_token, &refresh, grant.expires_at);
        let mut sealed = (new.fresh_id, seal(new.fresh_id));
        let mut why_not = Failure::Unsettled;
        for _ in 0..CONNECT_ROUNDS {
            let known = self
                .store
                .connection_of_account(new.coach_id, new.provider, &new.account_id)
                .await?;
            let id = known.unwrap_or(new.fresh_id);
            if sealed.0 != id {
                sealed = (id, seal(id));
            }
            match self.store.connect(id, &new, &sealed.1).await {
                Ok(Ok(id)) => return Ok(id),
                Ok(Err(NotConnected::OtherId)) => why_not = Failure::Unsettled,
                Ok(Err(NotConnected::SignInGone)) => {
                    // Nobody could give it back later.
                    self.give_back(id, new.provider, &new.account_id, &refresh)
                        .await;
                    return Err(Failure::Forgotten);
                }
                Err(error) if error.is_transient() => why_not = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(why_not)
    }

    fn sealed(
        &self,
        id: ConnectionId,
        access: &SecretString,
        refresh: &SecretString,
        access_expires_at: Timestamp,
    ) -> SealedTokens {
        let seal = |secret, context| {
            self.keys
                .seal(secret, context, &*self.entropy)
                .into_string()
        };
        SealedTokens {
            access: seal(access, places::access_token(id)),
            refresh: seal(refresh, places::refresh_token(id)),
            access_expires_at,
        }
    }
}

/// What is stored of the state.
fn state_hash(callback: &Callback) -> Result<String, CallbackError> {
    let state = callback.state.as_deref();
    let state = state
        .filter(|state| !state.is_empty())
        .ok_or(CallbackError::MissingParameters)?;
    if state.len() > MAX_STATE_LENGTH {
        return Err(CallbackError::InvalidState);
    }
    Ok(hash(state))
}

/// A sign-in that a node of an older version began names nobody: its coach stands for it.
fn who_asked(sign_in: &SignIn) -> Actor {
    sign_in.asked_by.clone().unwrap_or_else(|| Actor {
        subject: sign_in.coach_id.to_string(),
        role: ActorRole::Coach,
    })
}
