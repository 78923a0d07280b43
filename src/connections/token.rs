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
use crate::domain::{ConnectionId, ReauthReason, SyncFailure, Timestamp};
use crate::oauth::Grant;
use crate::security::{Context, Sealed};
use crate::store::{Lease, SealedTokens, StoreError, StoredTokens};

/// How long before its end a token is replaced.
const REFRESH_AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How long to leave the token endpoint alone after a refresh failed while the token still works.
const REFRESH_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// A token this close to its end is not used any more: it could expire on the way.
const LAST_USE: TimeDelta = TimeDelta::seconds(10);

pub(crate) const TABLE: &str = "coach_calendar_connections";
pub(crate) const ACCESS: &str = "access_token";
pub(crate) const REFRESH: &str = "refresh_token";

/// Why there is no token to call with.
#[derive(Debug)]
pub(super) enum NoToken {
    Failure(SyncFailure),
    Store(StoreError),
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
    /// A refresh failed: until then the present token does.
    refresh_again_at: Option<Timestamp>,
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

    pub(super) fn access(&self) -> Option<&SecretString> {
        self.open.as_ref().map(|open| &open.access)
    }

    /// The provider refused the access token: the next use refreshes it first.
    pub(super) fn access_refused(&mut self) {
        self.refused = true;
    }

    /// Makes the token ready, refreshing it where needed.
    pub(super) async fn make_ready(
        &mut self,
        context: &WorkerContext,
        service: &Service,
        lease: Lease,
    ) -> Result<(), NoToken> {
        let Some(stored) = context.store.tokens(lease.connection_id).await? else {
            return Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused).into());
        };
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.version != stored.version)
        {
            self.open = Some(open(context, &stored)?);
            self.refused = false;
        }
        let now = context.clock.now();
        if self.is_ready(now).is_some() {
            return Ok(());
        }
        match self.refresh(context, service, lease).await {
            Ok(()) => Ok(()),
            Err(NoToken::Failure(failure)) if self.may_carry_on(&failure, now) => {
                tracing::warn!(
                    connection.id = %lease.connection_id,
                    error = %failure,
                    "token refresh failed; the present token stays in use until it expires"
                );
                self.refresh_again_at = Some(now + REFRESH_PAUSE);
                Ok(())
            }
            Err(error) => Err(error),
        }
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
        lease: Lease,
    ) -> Result<(), NoToken> {
        let Some(held) = &self.open else {
            return Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused).into());
        };
        let answer = service
            .oauth
            .refresh(&held.refresh, context.clock.as_ref())
            .await;
        context
            .metrics
            .refreshed(service.api.kind(), answer.is_ok());
        let grant = answer?;
        let fresh = fresh(held, grant);
        let sealed = seal(context, lease.connection_id, &fresh);
        let now = context.clock.now();
        let stored = context
            .store
            .replace_tokens(lease, held.version, &sealed, now)
            .await?;
        if stored {
            self.open = Some(fresh);
            self.refused = false;
            tracing::debug!(connection.id = %lease.connection_id, "access token refreshed");
            return Ok(());
        }
        // The coach signed in again meanwhile: those tokens are newer than ours.
        match context.store.tokens(lease.connection_id).await? {
            Some(stored) => {
                self.open = Some(open(context, &stored)?);
                self.refused = false;
                Ok(())
            }
            None => Err(SyncFailure::NeedsReauth(ReauthReason::GrantRefused).into()),
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

fn open(context: &WorkerContext, stored: &StoredTokens) -> Result<Open, SyncFailure> {
    let open_one = |text: &str, column| {
        context
            .keys
            .open(
                &Sealed::from_stored(text.to_owned()),
                seal_context(stored.connection_id, column),
            )
            .map_err(|unreadable| {
                tracing::error!(
                    connection.id = %stored.connection_id,
                    error = %unreadable,
                    "a stored token cannot be opened"
                );
                SyncFailure::NeedsReauth(ReauthReason::TokensUnreadable)
            })
    };
    Ok(Open {
        access: open_one(&stored.sealed.access, ACCESS)?,
        refresh: open_one(&stored.sealed.refresh, REFRESH)?,
        expires_at: stored.sealed.access_expires_at,
        version: stored.version,
    })
}

fn seal(context: &WorkerContext, id: ConnectionId, open: &Open) -> SealedTokens {
    let seal_one = |secret: &SecretString, column| {
        context
            .keys
            .seal(secret, seal_context(id, column), context.entropy.as_ref())
            .into_string()
    };
    SealedTokens {
        access: seal_one(&open.access, ACCESS),
        refresh: seal_one(&open.refresh, REFRESH),
        access_expires_at: open.expires_at,
    }
}

/// Where a token of this connection is stored: it opens nowhere else.
pub(crate) fn seal_context(id: ConnectionId, column: &'static str) -> Context {
    Context {
        table: TABLE,
        column,
        row: id.0,
    }
}
