//! The end of a connection: forgotten here first, then given back at the provider.
//!
//! Google ends all that an account granted us at once, so only the last connection to live on it is
//! given back there. Another coach may connect the account at any moment: it is looked at right before
//! the call. Who connects it while the call is on its way finds the grant refused with the first refresh,
//! and is asked to sign in again.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::ConnectFlow;
use crate::domain::{Connection, ConnectionId, FailureCode, Origin, ProviderKind};
use crate::security::Sealed;
use crate::security::places;
use crate::store::{StoreError, StoredTokens};

/// How long the provider may take: the caller waits, and the connection is ended all the same. The
/// database's own patience bounds the rest.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// As it was before.
    pub connection: Connection,
    /// Whether the provider has no grant of ours any more.
    pub revoked: bool,
}

impl ConnectFlow {
    /// Ends a connection; `None` if there is none to end. What the provider answers changes nothing
    /// about that: our copy of the tokens is gone by then. Goes on when the caller does not wait for
    /// it, for nobody could give the grant back later.
    pub async fn end(
        self: &Arc<Self>,
        id: ConnectionId,
        origin: &Origin,
    ) -> Result<Option<Ended>, StoreError> {
        let (flow, origin) = (self.clone(), origin.clone());
        let ending = async move { flow.end_here(id, &origin).await };
        match self.under_way.spawn(ending).await {
            Ok(ended) => ended,
            // Nobody aborts it.
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }

    async fn end_here(
        &self,
        id: ConnectionId,
        origin: &Origin,
    ) -> Result<Option<Ended>, StoreError> {
        let now = self.clock.now();
        let ended = self.store.disconnect(id, origin, now).await?;
        let Some((connection, tokens, is_shared)) = ended else {
            return Ok(None);
        };
        let revoked = match tokens {
            // Google's revocation would end the account's other connections as well.
            Some(tokens) if !is_shared => self.revoke(&connection, tokens).await,
            Some(_) | None => false,
        };
        Ok(Some(Ended {
            connection,
            revoked,
        }))
    }

    /// Whether the provider says that it has no grant of ours any more.
    pub(crate) async fn revoke(&self, connection: &Connection, tokens: StoredTokens) -> bool {
        let id = connection.id;
        let sealed = Sealed::from_stored(tokens.sealed.refresh);
        let Ok(token) = self.keys.open(&sealed, places::refresh_token(id)) else {
            tracing::warn!(connection.id = %id, "tokens could not be opened to be revoked");
            return false;
        };
        self.give_back(id, connection.provider, &connection.account_id, &token)
            .await
    }

    /// Gives the grant of an account back that no connection lives on; whether the provider says that
    /// it has none of ours any more.
    pub(super) async fn give_back(
        &self,
        id: ConnectionId,
        provider: ProviderKind,
        account_id: &str,
        token: &SecretString,
    ) -> bool {
        let Some(clients) = self.providers.get(&provider) else {
            return false;
        };
        // Looked at anew: another coach may have connected the account since. What the database does not
        // say now was so a moment ago.
        let live = self.store.is_account_live(provider, account_id).await;
        if live.unwrap_or(false) {
            return false;
        }
        let asked = clients.oauth.revoke(token, &*self.clock);
        let code = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(revoked)) => return revoked,
            Ok(Err(failure)) => failure.code(),
            Err(_) => FailureCode::Timeout,
        };
        tracing::warn!(
            connection.id = %id,
            %provider,
            code = code.as_str(),
            "the grant was not revoked at the provider"
        );
        false
    }
}
