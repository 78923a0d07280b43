//! Writing down what happened for those who want to know, in the transaction in which it happens.
//!
//! Where nobody wants to know, that is one look at a table of at most a few rows.

use chrono::SecondsFormat;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, TryGetable};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{CoachId, ConnectionId, ProviderKind, Timestamp, WebhookEvent, WebhookId};
use crate::store::StoreError;
use crate::store::entity::webhook;
use crate::store::sql::Sql;

/// Rows of one statement: each binds ten values, and SQLite takes 32,766 of them.
const ROWS_AT_ONCE: usize = 1_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct News {
    pub(in crate::store) event: WebhookEvent,
    /// What happens to the same subject is told in its order.
    pub(in crate::store) subject: Uuid,
    /// Ids and words of ours; nothing of a client or an account.
    pub(in crate::store) data: Value,
}

impl News {
    /// Something that happened to a connection. `reason` is a stable word.
    pub(in crate::store) fn of_connection(
        event: WebhookEvent,
        (id, coach_id, provider): (ConnectionId, CoachId, ProviderKind),
        status: &'static str,
        reason: Option<&'static str>,
    ) -> Self {
        let mut data = data_of_connection(id, coach_id, provider);
        data["status"] = json!(status);
        data["reason"] = json!(reason);
        Self {
            event,
            subject: id.0,
            data,
        }
    }

    /// The body, as it is sent and signed.
    fn payload(&self, now: Timestamp) -> String {
        json!({
            "type": self.event.as_str(),
            "timestamp": now.to_rfc3339_opts(SecondsFormat::Micros, true),
            "data": self.data,
        })
        .to_string()
    }
}

/// What every event names.
pub(in crate::store) fn data_of_connection(
    id: ConnectionId,
    coach_id: CoachId,
    provider: ProviderKind,
) -> Value {
    json!({
        "connection_id": id,
        "coach_id": coach_id,
        "provider": provider.as_str(),
    })
}

/// Writes down what happened, for each enabled webhook that wants it; answers whether there was one, and
/// so whether somebody should look once this is committed.
///
/// The last thing a transaction does: the rows of webhooks are locked after all others.
pub(in crate::store) async fn tell(
    db: &impl ConnectionTrait,
    news: &[News],
    now: Timestamp,
) -> Result<bool, StoreError> {
    if news.is_empty() {
        return Ok(false);
    }
    let mut wanted = Vec::new();
    for row in db.query_all_raw(who_wants_news(db).build()).await? {
        let id = WebhookId::try_get(&row, "", "id").map_err(DbErr::from)?;
        let events = String::try_get(&row, "", "events").map_err(DbErr::from)?;
        let events = webhook::events(&events)?;
        let theirs = news.iter().filter(|news| events.contains(&news.event));
        wanted.extend(theirs.map(|news| (id, news)));
    }
    for rows in wanted.chunks(ROWS_AT_ONCE) {
        write(db, rows, now).await?;
    }
    Ok(!wanted.is_empty())
}

/// On PostgreSQL locked against being deleted until what is told is written, and against nothing else.
fn who_wants_news(db: &impl ConnectionTrait) -> Sql {
    let sql = Sql::on(db).text("SELECT id, events FROM webhooks WHERE disabled_at IS NULL");
    match sql.backend() {
        DbBackend::Postgres => sql.text(" ORDER BY id FOR KEY SHARE"),
        _ => sql,
    }
}

async fn write(
    db: &impl ConnectionTrait,
    rows: &[(WebhookId, &News)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut sql = Sql::on(db).text(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_type, subject, payload, status, \
         attempts, due_at, created_at) VALUES ",
    );
    for (nth, (webhook_id, news)) in rows.iter().enumerate() {
        sql = sql
            .text(if nth == 0 { "(" } else { ", (" })
            .new_id(now)
            .text(", ")
            .value(*webhook_id)
            .text(", ")
            .value(news.event.as_str())
            .text(", ")
            .value(news.subject)
            .text(", ")
            .value(news.payload(now))
            // Due with what goes before it. Only to be found in time: the claim looks for itself.
            .text(", 'pending', 0, COALESCE((SELECT MAX(b.due_at) FROM webhook_deliveries b WHERE b.status = 'pending' AND b.webhook_id = ")
            .value(*webhook_id)
            .text(" AND b.subject = ")
            .value(news.subject)
            .text(" AND b.due_at > ")
            .value(now)
            .text("), ")
            .value(now)
            .text("), ")
            .value(now)
            .text(")");
    }
    sql.execute(db).await?;
    Ok(())
}
