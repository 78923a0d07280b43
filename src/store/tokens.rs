//! Sealed tokens of a connection, replaced by compare-and-set.
//!
//! Sealing and opening belong to `security`; here a token is text that nobody can read.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::connection;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{ConnectionId, Timestamp};
use crate::failpoint::{self, Step};

/// Tokens to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedTokens {
    pub access: String,
    pub refresh: String,
    pub access_expires_at: Timestamp,
}

/// Tokens as stored; `version` counts replacements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTokens {
    pub connection_id: ConnectionId,
    pub sealed: SealedTokens,
    pub version: i64,
}

pub(super) fn of_row(row: &connection::Model) -> Option<StoredTokens> {
    Some(StoredTokens {
        connection_id: row.id,
        sealed: SealedTokens {
            access: row.access_token.clone()?,
            refresh: row.refresh_token.clone()?,
            access_expires_at: row.access_token_expires_at?,
        },
        version: row.token_version,
    })
}

impl Store {
    pub async fn tokens(&self, id: ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        in_time(async {
            let row = connection::Entity::find_by_id(id).one(&self.read).await?;
            Ok(row.as_ref().and_then(of_row))
        })
        .await
    }

    /// Stores refreshed tokens if nobody replaced them meanwhile; answers whether it did.
    ///
    /// Not fenced by the lease: a node that lost it has still got the only copy of a rotated refresh
    /// token, and the version tells whether somebody else has a newer one.
    pub async fn replace_tokens(
        &self,
        id: ConnectionId,
        expected_version: i64,
        tokens: &SealedTokens,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        in_time(async {
            failpoint::before(Step::Tokens)?;
            let changed = Sql::on(&self.write)
                .text("UPDATE coach_calendar_connections SET access_token = ")
                .value(tokens.access.as_str())
                .text(", refresh_token = ")
                .value(tokens.refresh.as_str())
                .text(", access_token_expires_at = ")
                .value(tokens.access_expires_at)
                .text(", token_version = token_version + 1, updated_at = ")
                .value(now)
                .text(" WHERE status <> 'disconnected' AND id = ")
                .value(id)
                .text(" AND token_version = ")
                .value(expected_version)
                .execute(&self.write)
                .await?;
            failpoint::after(Step::Tokens)?;
            Ok(changed == 1)
        })
        .await
    }

    /// Stores the same tokens under another key, while a daemon may be refreshing them; answers those
    /// that were no longer the same. The version stays: the tokens did not change.
    ///
    /// All in one statement: beside a busy daemon each one waits for SQLite's one writer.
    pub async fn reseal_tokens(
        &self,
        resealed: &[(StoredTokens, SealedTokens)],
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let mut sql = Sql::on(&self.write).text(
            "UPDATE coach_calendar_connections \
             SET access_token = anew.column1, refresh_token = anew.column2 FROM (VALUES ",
        );
        for (position, (stored, resealed)) in resealed.iter().enumerate() {
            sql = sql
                .text(if position > 0 { ", (" } else { "(" })
                .value(resealed.access.as_str())
                .text(", ")
                .value(resealed.refresh.as_str())
                .text(", ")
                .value(stored.connection_id)
                .text(", ")
                .value(stored.sealed.access.as_str())
                .text(", ")
                .value(stored.sealed.refresh.as_str())
                .text(")");
        }
        let statement = sql
            .text(
                ") AS anew WHERE id = anew.column3 AND access_token = anew.column4 \
                 AND refresh_token = anew.column5 RETURNING id",
            )
            .build();
        let rows = self.write.query_all_raw(statement).await?;
        let changed = rows.iter().map(|row| row.try_get("", "id"));
        let changed = changed.collect::<Result<HashSet<ConnectionId>, _>>()?;
        let asked = resealed.iter().map(|(stored, _)| stored.connection_id);
        Ok(asked.filter(|id| !changed.contains(id)).collect())
    }

    /// Connections that hold tokens, in order of id, after `after`.
    pub async fn tokens_page(
        &self,
        after: Option<ConnectionId>,
        limit: u64,
    ) -> Result<Vec<StoredTokens>, StoreError> {
        let mut query = connection::Entity::find()
            .filter(connection::Column::RefreshToken.is_not_null())
            .order_by_asc(connection::Column::Id)
            .limit(limit);
        if let Some(after) = after {
            query = query.filter(connection::Column::Id.gt(after));
        }
        let rows = query.all(&self.read).await?;
        Ok(rows.iter().filter_map(of_row).collect())
    }
}
