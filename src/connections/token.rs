//! The access token of one connection: opened, kept fresh, replaced.
//!
//! One worker owns it, so refreshes are single-flight. A refresh happens ahead of expiry and under the
//! lease; what comes back is stored by compare-and-set before it is used, for the old refresh token
//! may be void by then. Trouble with the network never ends a connection: the present token stays in
//! use until it expires.

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::context::WorkerContext;
use super::services::Service;
use crate::domain::{ConnectionId, FailureCode, ReauthReason, SyncFailure, Timestamp};
use crate::oauth::Grant;
use crate::security::{Sealed, Unreadable, places};
use crate::store::{SealedTokens, StoreError, StoredTokens};

/// How long before its end a token is replaced.
const REFRESH_AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How long to leave the token endpoint alone after a refresh, while the token works: it failed, or
/// the provider gives tokens that live hardly longer than [`REFRESH_AHEAD`].
const REFRESH_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// A token this close to its end is not used any more: it could expire on the way.
const LAST_USE: TimeDelta = TimeDelta::seconds(10);

/// For the coach.
pub(super) const UNREADABLE: &str = "The stored access to this calendar cannot be read with the \
     present encryption keys. The operator has been told; signing in again helps, too.";

/// Why there is no token to call with.
#[derive(Debug)]
pub(super) enum NoToken {
    Failure(SyncFailure),
    /// The stored tokens cannot be opened with the keys at hand. Not the coach's fault, and over as
    /// soon as the operator puts the key back.
    Unreadable(Unreadable),
    Store(StoreError),
}

impl NoToken {
    /// As the failure of the calls that were to be made with it.
    pub(super) fn into_failure(self) -> Result<SyncFailure, StoreError> {
        match self {
            Self::Failure(failure) => Ok(failure),
            Self::Unreadable(_) => Ok(SyncFailure::retryable(FailureCode::Internal, UNREADABLE)),
            Self::Store(error) => Err(error),
        }
    }
}

impl From<StoreError> for NoToken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SyncFailure> for NoToken {
    fn from(failure: SyncFailure) -> Self {
        Self::Failure(failure)
    }
}

/// Opened tokens.
struct Open {
    access: SecretString,
    refresh: SecretString,
    expires_at: Timestamp,
    version: i64,
}

/// The tokens of one connection, as its worker holds them.
#[derive(Default)]
pub(super) struct TokenKeeper {
    open: Option<Open>,
    /// The provider refused the access token before its time.
    refused: bool,
    /// The token was just refreshed, or that failed: until then the present one does.
    refresh_again_at: Option<Timestamp>,
    /// Refreshed, and not stored yet: perhaps the only copy of a rotated refresh token.
    unsaved: Option<Open>,
    /// The stored version that was looked at last.
    seen_version: i64,
}

impl TokenKeeper {
    /// The stored version of the held token, if it may be used without a refresh.
    pub(super) fn is_ready(&self, now: Timestamp) -> Option<i64> {
        let open = self.open.as_ref()?;
        let ahead = match self.refresh_again_at {
            Some(at) if at > now => LAST_USE,
            Some(_) | None => REFRESH_AHEAD,
        };
        (!self.refused && open.expires_at - now > ahead).then_some(open.version)
    }

    /// The version of the stored tokens that a refused grant is about.
    pub(super) fn seen_version(&self) -> i64 {
        self.seen_version
    }

    pub(super) fn access(&self) -> Option<&SecretString> {
        self.open.as_ref().map(|open| &open.access)
    }

    /// The provider refused the access token: the next use refreshes it first.
    pub(super) fn access_refused(&mut self) {
        self.refused = true;
    }

    /// Makes the token ready, refreshing it where needed. The caller holds the lease.
    pub(super) async fn make_ready(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        id: ConnectionId,
    ) -> Result<(), NoToken> {
        self.load(context, id).await?;
        let now = context.clock.now();
        if self.is_ready(now).is_some() {
            return Ok(());
        }
        match self.refresh(context, service, id).await {
            Ok(()) => Ok(()),
            Err(NoToken::Failure(failure)) if self.may_carry_on(&failure, now) => {
                tracing::warn!(
                    connection.id = %id,
                    error = %failure,
                    "token refresh failed; the present token stays in use until it expires"
                );
                self.refresh_again_at = Some(now + REFRESH_PAUSE);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the stored tokens, unless those held are the same.
    async fn load(&mut self, context: &WorkerContext, id: ConnectionId) -> Result<(), NoToken> {
        let Some(stored) = context.store.tokens(id).await? else {
            return Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused).into());
        };
        self.seen_version = stored.version;
        let held = self.open.as_ref().map(|open| open.version);
        if held != Some(stored.version) {
            self.open = Some(open(context, &stored)?);
            self.refused = false;
            self.refresh_again_at = None;
        }
        Ok(())
    }

    fn may_carry_on(&self, failure: &SyncFailure, now: Timestamp) -> bool {
        let passing = match failure {
            SyncFailure::Retryable { .. }
            | SyncFailure::RateLimited { .. }
            | SyncFailure::Operator { .. } => true,
            SyncFailure::NeedsReauth(_)
            | SyncFailure::StaleTarget(_)
            | SyncFailure::Permanent { .. } => false,
        };
        let usable = self
            .open
            .as_ref()
            .is_some_and(|open| open.expires_at - now > LAST_USE);
        passing && usable && !self.refused
    }

    async fn refresh(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        id: ConnectionId,
    ) -> Result<(), NoToken> {
        let Some(held) = &self.open else {
            return Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused).into());
        };
        let held_version = held.version;
        let fresh = match self
            .unsaved
            .take_if(|unsaved| unsaved.version == held_version + 1)
        {
            Some(unsaved) => unsaved,
            None => {
                let oauth = &service.oauth;
                let answer = oauth.refresh(&held.refresh, context.clock.as_ref()).await;
                let provider = service.api.kind();
                context.metrics.refreshed(provider, answer.as_ref().err());
                fresh(held, answer?)
            }
        };
        let sealed = seal(context, id, &fresh);
        let now = context.clock.now();
        let store = &context.store;
        match store.replace_tokens(id, held_version, &sealed, now).await {
            Ok(true) => {
                self.seen_version = fresh.version;
                self.open = Some(fresh);
                self.refused = false;
                self.refresh_again_at = Some(now + REFRESH_PAUSE);
                tracing::debug!(connection.id = %id, "access token refreshed");
                Ok(())
            }
            // The coach signed in again meanwhile: those tokens are newer than ours.
            Ok(false) => self.load(context, id).await,
            Err(error) => {
                self.unsaved = Some(fresh);
                Err(error.into())
            }
        }
    }
}

fn fresh(held: &Open, grant: Grant) -> Open {
    Open {
        access: grant.access_token,
        refresh: grant
            .refresh_token
            .unwrap_or_else(|| held.refresh.expose_secret().into()),
        expires_at: grant.expires_at,
        version: held.version + 1,
    }
}

fn open(context: &WorkerContext, stored: &StoredTokens) -> Result<Open, NoToken> {
    let open_one = |text: &str, place| {
        context
            .keys
            .open(&Sealed::from_stored(text.to_owned()), place)
            .map_err(NoToken::Unreadable)
    };
    let id = stored.connection_id;
    Ok(Open {
        access: open_one(&stored.sealed.access, places::access_token(id))?,
        refresh: open_one(&stored.sealed.refresh, places::refresh_token(id))?,
        expires_at: stored.sealed.access_expires_at,
        version: stored.version,
    })
}

fn seal(context: &WorkerContext, id: ConnectionId, open: &Open) -> SealedTokens {
    let seal_one = |secret: &SecretString, place| {
        context
            .keys
            .seal(secret, place, context.entropy.as_ref())
            .into_string()
    };
    SealedTokens {
        access: seal_one(&open.access, places::access_token(id)),
        refresh: seal_one(&open.refresh, places::refresh_token(id)),
        access_expires_at: open.expires_at,
    }
}
