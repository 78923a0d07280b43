//! How long coaches' consent has lasted, as the history tells.

use chrono::TimeDelta;
use sea_orm::FromQueryResult;

use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionStatus, ProviderKind, ReauthReason, Timestamp};

/// The newest are enough to see a pattern.
const LOOKED_AT: i64 = 1_000;

/// How long an access token of Google's is good for.
const ACCESS_LASTS: TimeDelta = TimeDelta::hours(1);

/// One connection since its coach last consented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantHistory {
    pub connected_at: Timestamp,
    /// When it last gave tokens, as far as their end tells; `None`: they are gone.
    pub last_tokens_at: Option<Timestamp>,
    /// When the provider refused the grant; `None`: it holds.
    pub refused_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Row {
    status: ConnectionStatus,
    status_reason: Option<String>,
    updated_at: Timestamp,
    connected_at: Option<Timestamp>,
    access_token_expires_at: Option<Timestamp>,
}

impl Store {
    /// Of the provider's connections that are not ended, those that changed last.
    pub async fn grant_histories(
        &self,
        provider: ProviderKind,
    ) -> Result<Vec<GrantHistory>, StoreError> {
        let statement = Sql::on(&self.read)
            .text(
                "SELECT c.status, c.status_reason, c.updated_at, c.access_token_expires_at, \
                 (SELECT a.at FROM audit_events a WHERE a.connection_id = c.id \
                   AND a.action = 'connected' ORDER BY a.at DESC LIMIT 1) AS connected_at \
                 FROM coach_calendar_connections c \
                 WHERE c.status IN ('active', 'needs_reauth') AND c.provider = ",
            )
            .value(provider)
            .text(" ORDER BY c.updated_at DESC LIMIT ")
            .value(LOOKED_AT)
            .build();
        let rows = in_time(async { Ok(Row::find_by_statement(statement).all(&self.read).await?) });
        Ok(rows.await?.iter().filter_map(history).collect())
    }
}

/// `None` for what says nothing: connected before there was an audit trail, or parked for another reason.
fn history(row: &Row) -> Option<GrantHistory> {
    let refused = Some(ReauthReason::GrantRefused.as_str());
    let refused_at = match row.status {
        ConnectionStatus::Active => None,
        ConnectionStatus::NeedsReauth if row.status_reason.as_deref() == refused => {
            Some(row.updated_at)
        }
        ConnectionStatus::NeedsReauth
        | ConnectionStatus::Quarantined
        | ConnectionStatus::Disconnected => return None,
    };
    Some(GrantHistory {
        connected_at: row.connected_at?,
        last_tokens_at: row
            .access_token_expires_at
            .and_then(|at| at.checked_sub_signed(ACCESS_LASTS)),
        refused_at,
    })
}
