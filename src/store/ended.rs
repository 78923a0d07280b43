//! Jobs in the order in which they ended, for whoever reads on from where it was.
//!
//! `completed_at` of a connection only grows, in the order in which its transactions commit: whoever
//! ends jobs has the connection's lease row locked, looks at the last one that ended, and says a later
//! time than that one's. So a reader who has seen everything up to a job misses none by going on after
//! it, be clocks as different or set back as they may. Jobs that end together have the same time, and
//! follow each other by id.

use sea_orm::{ConnectionTrait, EntityTrait, TryGetable};

use super::entity::job;
use super::patience::in_time;
use super::sql::Sql;
use super::{Job, Store, StoreError};
use crate::domain::{ConnectionId, JobId, Timestamp};

/// The place of a job among those of its connection that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended {
    pub at: Timestamp,
    pub id: JobId,
}

impl Ended {
    /// Before all of them.
    pub const NONE: Self = Self {
        at: Timestamp::UNIX_EPOCH,
        id: JobId(uuid::Uuid::nil()),
    };

    /// `None` if the job has not ended.
    pub fn of(job: &Job) -> Option<Self> {
        job.completed_at.map(|at| Self { at, id: job.id })
    }
}

impl Store {
    /// Where those of a connection that have ended by now come to an end.
    pub async fn last_ended(&self, id: ConnectionId) -> Result<Ended, StoreError> {
        in_time(async { Ok(last(&self.read, id).await?.unwrap_or(Ended::NONE)) }).await
    }

    /// Jobs of a connection that ended after that one, in order; no more than so many.
    pub async fn ended_after(
        &self,
        id: ConnectionId,
        after: Ended,
        most: i64,
    ) -> Result<Vec<Job>, StoreError> {
        in_time(async {
            let statement = ended_after(&self.read, id, after, most).build();
            let found = job::Entity::find().from_raw_sql(statement);
            let found = found.all(&self.read).await?;
            Ok(found.into_iter().map(Job::from).collect())
        })
        .await
    }
}

pub(super) fn ended_after(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    after: Ended,
    most: i64,
) -> Sql {
    Sql::on(db)
        // Said though it is implied: an index over ended jobs alone is then known to fit.
        .text(
            "SELECT * FROM calendar_sync_queue \
             WHERE completed_at IS NOT NULL AND (completed_at, id) > (",
        )
        .value(after.at)
        .text(", ")
        .value(after.id)
        .text(") AND connection_id = ")
        .value(id)
        .text(" ORDER BY completed_at, id LIMIT ")
        .value(most)
}

pub(super) fn last_ended(db: &impl ConnectionTrait, id: ConnectionId) -> Sql {
    Sql::on(db)
        .text(
            "SELECT completed_at, id FROM calendar_sync_queue \
             WHERE completed_at IS NOT NULL AND connection_id = ",
        )
        .value(id)
        .text(" ORDER BY completed_at DESC, id DESC LIMIT 1")
}

async fn last(db: &impl ConnectionTrait, id: ConnectionId) -> Result<Option<Ended>, StoreError> {
    let Some(row) = db.query_one_raw(last_ended(db, id).build()).await? else {
        return Ok(None);
    };
    let read = || -> Result<Ended, sea_orm::TryGetError> {
        Ok(Ended {
            at: Timestamp::try_get(&row, "", "completed_at")?,
            id: JobId::try_get(&row, "", "id")?,
        })
    };
    Ok(Some(read().map_err(sea_orm::DbErr::from)?))
}

/// When what ends now ends: later than whatever ended before. The caller has the connection's lease row
/// locked, until it commits.
pub(super) async fn end_at(
    db: &impl ConnectionTrait,
    id: ConnectionId,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let last = last(db, id).await?;
    Ok(last.map_or(now, |last| {
        now.max(last.at + chrono::TimeDelta::microseconds(1))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_ended_together_follow_each_other_by_id() {
        let at = Timestamp::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let ended = |at, id| Ended {
            at,
            id: JobId(uuid::Uuid::from_u128(id)),
        };
        assert!(Ended::NONE < ended(at, 1));
        assert!(ended(at, 1) < ended(at, 2));
        assert!(ended(at, 2) < ended(at + chrono::TimeDelta::microseconds(1), 1));
    }
}
