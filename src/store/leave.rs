//! Connections that end, and coaches who leave.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::audit::{self, Entry, record};
use super::connections::locked;
use super::enqueue::{Order, Pairs, queue};
use super::entity::connection;
use super::open::commit;
use super::patience::in_time;
use super::sql::{Sql, lock_account, lock_coaches};
use super::webhooks::{News, tell};
use super::{Store, StoreError, StoredTokens, ended, erased, tokens, waits};
use crate::domain::{
    AuditAction, CoachId, Connection, ConnectionId, ConnectionStatus, Origin, ProviderKind,
    Timestamp, WebhookEvent,
};
use crate::failpoint::Step;

impl Store {
    /// Ends a connection: tokens wiped, open work cancelled, whoever acts for it fenced off. Events,
    /// mappings and history stay. Answers what it was, with its tokens for the revocation and whether
    /// another live connection lives on the same grant.
    pub async fn disconnect(
        &self,
        id: ConnectionId,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<(Connection, Option<StoredTokens>, bool)>, StoreError> {
        in_time(self.end_connection(id, origin, now)).await
    }

    async fn end_connection(
        &self,
        id: ConnectionId,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<(Connection, Option<StoredTokens>, bool)>, StoreError> {
        let tx = self.begin().await?;
        let Some(row) = connection::Entity::find_by_id(id).one(&tx).await? else {
            return Ok(None);
        };
        lock_coaches(&tx, [row.coach_id]).await?;
        lock_account(&tx, row.provider, &row.account_id).await?;
        let Some(before) = locked(&tx, id).await? else {
            return Ok(None);
        };
        if before.status == ConnectionStatus::Disconnected {
            return Ok(None);
        }
        let row = connection::Entity::find_by_id(id).one(&tx).await?;
        let tokens = row.as_ref().and_then(tokens::of_row);
        Sql::on(&tx)
            .text("UPDATE coach_calendar_connections SET status = 'disconnected', status_reason = NULL, set_aside_at = NULL, access_token = NULL, refresh_token = NULL, access_token_expires_at = NULL, token_version = token_version + 1, updated_at = ")
            .value(now)
            .text(" WHERE id = ")
            .value(id)
            .execute(&tx)
            .await?;
        let fenced_off = Sql::on(&tx).text("UPDATE connection_leases SET node = NULL, expires_at = NULL, epoch = epoch + 1, due_at = NULL, ");
        waits::end_all_but_limits(fenced_off)
            .text(" WHERE connection_id = ")
            .value(id)
            .execute(&tx)
            .await?;
        let ended_at = ended::end_at(&tx, id, now).await?;
        Sql::on(&tx)
            .text("UPDATE calendar_sync_queue SET status = 'cancelled', completed_at = ")
            .value(ended_at)
            .text(" WHERE status IN ('pending', 'processing', 'failed') AND connection_id = ")
            .value(id)
            .execute(&tx)
            .await?;
        let shared = is_live(&tx, before.provider, &before.account_id).await?;
        let entry = Entry {
            coach_id: Some(before.coach_id),
            connection_id: Some(id),
            ..Entry::of(origin, AuditAction::Disconnected)
        };
        record(&tx, &entry, now).await?;
        let event = WebhookEvent::ConnectionDisconnected;
        let whose = (id, before.coach_id, before.provider);
        let news = News::of_connection(event, whose, "disconnected", None);
        let told = tell(&tx, &[news], now).await?;
        commit(tx, Step::Disconnect).await?;
        self.told(told);
        Ok(Some((before, tokens, shared)))
    }

    /// Whether any connection, whoever's, lives on this account.
    pub async fn is_account_live(
        &self,
        provider: ProviderKind,
        account_id: &str,
    ) -> Result<bool, StoreError> {
        in_time(is_live(&self.read, provider, account_id)).await
    }

    /// Every connection of a coach, ended ones included.
    pub async fn all_connections_of(
        &self,
        coach_id: CoachId,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let found = connection::Entity::find().filter(connection::Column::CoachId.eq(coach_id));
        let rows = in_time(async { Ok(found.all(&self.read).await?) }).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Forgets a coach whose connections were ended: connections, appointments, mappings, jobs, answers
    /// that are kept for those who ask again, and all but the ids in the audit trail.
    ///
    /// An appointment that came from another coach and is still in that one's calendar is erased
    /// instead: emptied, and forgotten with its last event. Answers in whose calendars such are; `None`
    /// if a sign-in has connected a calendar since the others were ended: nothing is forgotten then.
    pub async fn forget_coach(
        &self,
        coach_id: CoachId,
        max_attempts: i32,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Vec<ConnectionId>>, StoreError> {
        in_time(self.forget_disconnected(coach_id, max_attempts, origin, now)).await
    }

    async fn forget_disconnected(
        &self,
        coach_id: CoachId,
        max_attempts: i32,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Vec<ConnectionId>>, StoreError> {
        let tx = self.begin().await?;
        lock_coaches(&tx, [coach_id]).await?;
        let connected = connection::Entity::find()
            .filter(connection::Column::CoachId.eq(coach_id))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected));
        if connected.one(&tx).await?.is_some() {
            return Ok(None);
        }
        let of_coach = |sql: Sql| sql.text("coach_id = ").value(coach_id);
        of_coach(Sql::on(&tx).text("SELECT id FROM appointments WHERE "))
            .text(" ORDER BY id")
            .for_no_key_update()
            .execute(&tx)
            .await?;
        of_coach(erased::empty(&tx, now))
            .text(" AND EXISTS (")
            .text(erased::HELD)
            .text(")")
            .execute(&tx)
            .await?;
        let order = Order::of_change(max_attempts, now, &origin.cause);
        let (_, connections) = queue(&tx, Pairs::LeftBehind(coach_id), order).await?;
        for table in ["coach_calendar_connections", "sign_ins", "idempotency_keys"] {
            let sql = Sql::on(&tx).text("DELETE FROM ").text(table);
            of_coach(sql.text(" WHERE ")).execute(&tx).await?;
        }
        // The coach's own mappings went with the connections: what is still held is held by others.
        of_coach(Sql::on(&tx).text("DELETE FROM appointments WHERE "))
            .text(" AND NOT EXISTS (")
            .text(erased::HELD)
            .text(")")
            .execute(&tx)
            .await?;
        audit::keep_ids_only(&tx, coach_id).await?;
        let entry = Entry {
            coach_id: Some(coach_id),
            ..Entry::of(origin, AuditAction::CoachForgotten)
        };
        record(&tx, &entry, now).await?;
        commit(tx, Step::ForgetCoach).await?;
        Ok(Some(connections))
    }
}

async fn is_live(
    db: &impl ConnectionTrait,
    provider: ProviderKind,
    account_id: &str,
) -> Result<bool, StoreError> {
    let live = connection::Entity::find()
        .filter(connection::Column::Provider.eq(provider))
        .filter(connection::Column::AccountId.eq(account_id))
        .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected));
    Ok(live.one(db).await?.is_some())
}
