//! Recording what became of claimed work, in one transaction, fenced by the lease.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, FromQueryResult, TryGetable};
use serde_json::json;

use super::enqueue::{Order, Pairs, enqueue};
use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::webhooks::{News, data_of_connection, tell};
use super::{Fence, Lease, Store, StoreError, claim, ended, erased, leases};
use crate::domain::{
    AppointmentId, CalendarEvent, Cause, CoachId, ConnectionId, FailureCode, Flags, JobId,
    LastSync, Mapping, Priority, ProviderKind, ReauthReason, Timestamp, Wait, WebhookEvent,
};
use crate::failpoint::Step;
use crate::plan::Breaker;

/// How one job ends, for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    Completed,
    /// Pending again from `at`; `flags` are added to those it has.
    Again {
        at: Timestamp,
        counted: bool,
        flags: Flags,
        error: Option<(FailureCode, String)>,
    },
    /// Given up; kept, and replayable.
    Failed {
        error: (FailureCode, String),
    },
}

/// What became of one claimed row.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub job_id: JobId,
    pub appointment_id: AppointmentId,
    /// The mapping as it now is; `None` if it did not change.
    pub mapping: Option<Mapping>,
    pub end: JobEnd,
    /// How the appointment stands in the calendar, if that is news once the job is completed.
    pub shows: Option<CalendarEvent>,
    /// Whether the appointment is being erased.
    pub erased: bool,
}

/// What became of one round.
#[derive(Clone, Debug)]
pub struct Settled {
    pub lease: Lease,
    /// Under which version of the settings the round was planned.
    pub settings_version: i64,
    pub settlements: Vec<Settlement>,
    /// The connection must not call its provider before.
    pub wait: Option<Wait>,
    /// As it is after the round.
    pub breaker: Breaker,
    /// The grant behind the tokens of this version is refused, and why.
    pub reauth: Option<(i64, ReauthReason)>,
    /// `None` if the provider was not asked for anything.
    pub last_sync: Option<(LastSync, Option<String>)>,
    pub max_attempts: i32,
    pub now: Timestamp,
}

impl Store {
    /// Records a round; answers when the connection is due next.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another node acts for the connection by now: nothing is recorded,
    /// and that node will find out by itself what happened at the provider.
    pub async fn settle(&self, settled: Settled) -> Result<Option<Timestamp>, StoreError> {
        in_time(self.record(settled)).await
    }

    async fn record(&self, settled: Settled) -> Result<Option<Timestamp>, StoreError> {
        let connection_id = settled.lease.connection_id;
        let now = settled.now;
        let _turn = self.round().await;
        let tx = self.begin().await?;
        let leaving: Vec<AppointmentId> = settled
            .settlements
            .iter()
            .filter(|settlement| settlement.erased)
            .map(|settlement| settlement.appointment_id)
            .collect();
        // Before the lease, as everybody does.
        erased::lock(&tx, &leaving).await?;
        leases::fence(&tx, Fence::Lease(settled.lease)).await?;
        let touched = touch_connection(&tx, &settled).await?;

        let mappings: Vec<Mapping> = settled
            .settlements
            .iter()
            .filter_map(|settlement| settlement.mapping.clone())
            .collect();
        claim::save_mappings(&tx, &mappings, now).await?;
        let ended_at = ended::end_at(&tx, connection_id, now).await?;
        let given_up = end_jobs(&tx, connection_id, &settled.settlements, ended_at).await?;

        if touched.settings_version != settled.settings_version {
            // The settings changed while this round was under way: what it wrote may be outdated.
            let order = Order {
                priority: Priority::Change,
                flags: Flags::CHANGE,
                sync_id: None,
                max_attempts: settled.max_attempts,
                now,
                cause: &Cause::NONE,
            };
            for settlement in &settled.settlements {
                let pair = Pairs::One(connection_id, settlement.appointment_id);
                enqueue(&tx, pair, order).await?;
            }
        }
        finish_full_sync(&tx, connection_id, ended_at).await?;
        erased::forget(&tx, Some(&leaving)).await?;
        let due = leases::reschedule(&tx, connection_id, settled.wait, settled.breaker).await?;
        let news = news(&tx, &settled, &touched, &given_up).await?;
        let told = tell(&tx, &news, now).await?;
        commit(tx, Step::Settle).await?;
        self.told(told);
        Ok(due)
    }
}

/// The connection as it is after the round.
#[derive(FromQueryResult)]
struct Touched {
    settings_version: i64,
    token_version: i64,
    coach_id: CoachId,
    provider: ProviderKind,
    set_aside_at: Option<Timestamp>,
}

async fn touch_connection(
    db: &impl ConnectionTrait,
    settled: &Settled,
) -> Result<Touched, StoreError> {
    let mut sql = Sql::on(db)
        .text("UPDATE coach_calendar_connections SET updated_at = ")
        .value(settled.now);
    if let Some((status, error)) = &settled.last_sync {
        sql = sql
            .text(", last_sync_at = ")
            .value(settled.now)
            .text(", last_sync_status = ")
            .value(*status)
            .text(", last_sync_error = ")
            .value(error.clone());
    }
    if let Some((token_version, reason)) = &settled.reauth {
        // A coach who signed in again meanwhile has a grant that nobody refused.
        for (column, value) in [
            ("status", "needs_reauth"),
            ("status_reason", reason.as_str()),
        ] {
            sql = sql
                .text(&format!(", {column} = CASE WHEN token_version = "))
                .value(*token_version)
                .text(" THEN ")
                .value(value)
                .text(&format!(" ELSE {column} END"));
        }
    }
    let sql = sql
        .text(" WHERE id = ")
        .value(settled.lease.connection_id)
        .text(" RETURNING settings_version, token_version, coach_id, provider, set_aside_at");
    Touched::find_by_statement(sql.build())
        .one(db)
        .await?
        .ok_or(StoreError::LeaseLost)
}

/// What the platform may want to know of the round, in the order in which it happened.
async fn news(
    db: &impl ConnectionTrait,
    settled: &Settled,
    touched: &Touched,
    given_up: &HashSet<JobId>,
) -> Result<Vec<News>, StoreError> {
    let connection_id = settled.lease.connection_id;
    let whose = (connection_id, touched.coach_id, touched.provider);
    let mut news = Vec::new();
    let carried = matches!(settled.last_sync, Some((LastSync::Success, _)));
    if carried && touched.set_aside_at.is_some() {
        Sql::on(db)
            .text("UPDATE coach_calendar_connections SET set_aside_at = NULL WHERE id = ")
            .value(connection_id)
            .execute(db)
            .await?;
        let event = WebhookEvent::ConnectionRecovered;
        news.push(News::of_connection(event, whose, "active", None));
    }
    for settlement in &settled.settlements {
        let mut data = data_of_connection(connection_id, touched.coach_id, touched.provider);
        data["appointment_id"] = json!(settlement.appointment_id);
        let event = match (&settlement.end, settlement.shows) {
            (JobEnd::Completed, Some(shows)) => {
                data["status"] = json!("synced");
                data["calendar_event"] = json!(shows.as_str());
                WebhookEvent::AppointmentSynced
            }
            (JobEnd::Failed { error }, _) if given_up.contains(&settlement.job_id) => {
                data["status"] = json!("failed");
                data["reason"] = json!(error.0.as_str());
                WebhookEvent::AppointmentSyncFailed
            }
            (JobEnd::Completed | JobEnd::Again { .. } | JobEnd::Failed { .. }, _) => continue,
        };
        news.push(News {
            event,
            subject: settlement.appointment_id.0,
            data,
        });
    }
    let reauth = settled
        .reauth
        .filter(|(version, _)| *version == touched.token_version);
    if let Some((_, reason)) = reauth {
        let event = WebhookEvent::ConnectionNeedsReauth;
        let reason = Some(reason.code());
        news.push(News::of_connection(event, whose, "needs_reauth", reason));
    }
    Ok(news)
}

/// Answers which were given up, and are not queued anew.
async fn end_jobs(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    settlements: &[Settlement],
    ended_at: Timestamp,
) -> Result<HashSet<JobId>, StoreError> {
    let mut given_up = HashSet::new();
    let completed: Vec<JobId> = settlements
        .iter()
        .filter(|settlement| settlement.end == JobEnd::Completed)
        .map(|settlement| settlement.job_id)
        .collect();
    if !completed.is_empty() {
        complete(db, completed, ended_at).execute(db).await?;
    }
    let unfinished: Vec<&Settlement> = settlements
        .iter()
        .filter(|settlement| settlement.end != JobEnd::Completed)
        .collect();
    let succeeded_by = successors(db, connection_id, &unfinished).await?;
    for settlement in unfinished {
        if succeeded_by.contains(&settlement.appointment_id) {
            fold(db, connection_id, settlement).await?;
        } else {
            end_unfinished(db, settlement, ended_at).await?;
            if let JobEnd::Failed { .. } = settlement.end {
                given_up.insert(settlement.job_id);
            }
        }
    }
    Ok(given_up)
}

pub(super) fn complete(db: &impl ConnectionTrait, jobs: Vec<JobId>, ended_at: Timestamp) -> Sql {
    Sql::on(db)
        .text("UPDATE calendar_sync_queue SET status = 'completed', error_code = NULL, error_message = NULL, completed_at = ")
        .value(ended_at)
        .text(" WHERE ")
        .plain_column("status")
        .text(" = 'processing' AND id IN ")
        .list(jobs)
}

/// Appointments that were queued anew while their row was being worked on.
async fn successors(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    settlements: &[&Settlement],
) -> Result<HashSet<AppointmentId>, StoreError> {
    if settlements.is_empty() {
        return Ok(HashSet::new());
    }
    let appointments = settlements
        .iter()
        .map(|settlement| settlement.appointment_id);
    db.query_all_raw(queued_anew(db, connection_id, appointments).build())
        .await?
        .iter()
        .map(|row| {
            AppointmentId::try_get(row, "", "appointment_id")
                .map_err(|error| StoreError::from(sea_orm::DbErr::from(error)))
        })
        .collect()
}

pub(super) fn queued_anew(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    appointments: impl IntoIterator<Item = AppointmentId>,
) -> Sql {
    Sql::on(db)
        .text("SELECT appointment_id FROM calendar_sync_queue WHERE ")
        .plain_column("status")
        .text(" IN ('pending', 'failed') AND ")
        .plain_column("connection_id")
        .text(" = ")
        .value(connection_id)
        .text(" AND appointment_id IN ")
        .list(appointments)
}

/// The successor takes over what the unfinished row was for.
async fn fold(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let flags = match &settlement.end {
        JobEnd::Again { flags, .. } => *flags,
        JobEnd::Completed | JobEnd::Failed { .. } => Flags::CHANGE,
    };
    Sql::on(db)
        .text("UPDATE calendar_sync_queue SET forced = (calendar_sync_queue.forced OR ended.forced OR ")
        .value(flags.forced)
        .text("), verify = (calendar_sync_queue.verify OR ended.verify OR ")
        .value(flags.verify)
        .text("), sync_id = COALESCE(calendar_sync_queue.sync_id, ended.sync_id), priority = CASE WHEN ended.priority > calendar_sync_queue.priority THEN ended.priority ELSE calendar_sync_queue.priority END FROM calendar_sync_queue ended WHERE ended.id = ")
        .value(settlement.job_id)
        .text(" AND calendar_sync_queue.status IN ('pending', 'failed') AND calendar_sync_queue.connection_id = ")
        .value(connection_id)
        .text(" AND calendar_sync_queue.appointment_id = ")
        .value(settlement.appointment_id)
        .execute(db)
        .await?;
    Sql::on(db)
        .text("DELETE FROM calendar_sync_queue WHERE status = 'processing' AND id = ")
        .value(settlement.job_id)
        .execute(db)
        .await?;
    Ok(())
}

async fn end_unfinished(
    db: &impl ConnectionTrait,
    settlement: &Settlement,
    ended_at: Timestamp,
) -> Result<(), StoreError> {
    let sql = Sql::on(db).text("UPDATE calendar_sync_queue SET status = ");
    let sql = match &settlement.end {
        JobEnd::Completed => return Ok(()),
        JobEnd::Again {
            at,
            counted,
            flags,
            error,
        } => {
            let sql = sql
                .text("'pending', started_at = NULL, scheduled_for = ")
                .value(*at)
                .text(", attempts = attempts + ")
                .value(i32::from(*counted))
                .text(", forced = (forced OR ")
                .value(flags.forced)
                .text("), verify = (verify OR ")
                .value(flags.verify)
                .text(")");
            match error {
                Some(error) => with_error(sql, error),
                None => sql,
            }
        }
        JobEnd::Failed { error } => {
            let sql = sql
                .text("'failed', attempts = attempts + 1, completed_at = ")
                .value(ended_at);
            with_error(sql, error)
        }
    };
    sql.text(" WHERE status = 'processing' AND id = ")
        .value(settlement.job_id)
        .execute(db)
        .await?;
    Ok(())
}

fn with_error(sql: Sql, (code, message): &(FailureCode, String)) -> Sql {
    sql.text(", error_code = ")
        .value(code.as_str())
        .text(", error_message = ")
        .value(message.clone())
}

/// A full sync is over with the last of its rows, however each of them ended.
async fn finish_full_sync(
    db: &impl ConnectionTrait,
    connection_id: ConnectionId,
    ended_at: Timestamp,
) -> Result<(), StoreError> {
    Sql::on(db)
        .text("UPDATE calendar_sync_queue SET status = 'completed', completed_at = ")
        .value(ended_at)
        .text(
            " WHERE operation = 'full_sync' AND status = 'processing' \
             AND NOT EXISTS (SELECT 1 FROM calendar_sync_queue part \
               WHERE part.sync_id = calendar_sync_queue.id \
               AND part.status IN ('pending', 'processing')) AND connection_id = ",
        )
        .value(connection_id)
        .execute(db)
        .await?;
    Ok(())
}
