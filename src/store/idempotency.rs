//! Keys of requests that may be repeated: who carries one out, and what was answered.
//!
//! Each step is one statement, so that of several nodes one gets the key. A key is held for seconds at
//! a time; an answer is kept for a day, or until its coach is forgotten. What has expired is as good as
//! absent, whether or not the housekeeper has been there.

use chrono::TimeDelta;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::idempotency_key;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{CoachId, ConnectionId, Timestamp};

/// How long a process that died keeps others from carrying its request out.
pub const KEY_HELD: TimeDelta = TimeDelta::seconds(5);
/// How long an answer is kept.
pub const ANSWER_KEPT: TimeDelta = TimeDelta::hours(24);

const TABLE: &str = "idempotency_keys";

/// A request under a key, in the name of one attempt to carry it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    pub key_hash: String,
    pub about: About,
    pub request_hash: String,
    pub holder: Uuid,
}

/// Whose calendars a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Coach(CoachId),
    /// The coach's whose connection it is.
    Connection(ConnectionId),
    /// No single coach's.
    Nobody,
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    pub request_hash: String,
    /// Who carries it out, or did.
    pub holder: Uuid,
    /// Absent while it is being carried out.
    pub answer: Option<KeptAnswer>,
}

/// An answer as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// The body of a kept answer, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedAnswer {
    pub key_hash: String,
    pub holder: Uuid,
    pub body: String,
}

impl std::fmt::Debug for SealedAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedAnswer")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// An answer is its caller's alone.
impl std::fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptAnswer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// What the key stands for; `None` if anybody may have it.
    pub async fn known_key(
        &self,
        key_hash: &str,
        now: Timestamp,
    ) -> Result<Option<KnownKey>, StoreError> {
        in_time(async {
            let row = idempotency_key::Entity::find_by_id(key_hash.to_owned())
                .one(&self.read)
                .await?;
            row.filter(|row| !is_free(row, now)).map(known).transpose()
        })
        .await
    }

    /// Takes the key if it is free; answers whether it did.
    pub async fn hold_key(
        &self,
        request: &KeyedRequest,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        in_time(async {
            let taken = Sql::on(&self.write)
                .text(
                    "INSERT INTO idempotency_keys \
                     (key_hash, request_hash, holder, expires_at, coach_id) VALUES (",
                )
                .value(request.key_hash.as_str())
                .text(", ")
                .value(request.request_hash.as_str())
                .text(", ")
                .value(request.holder)
                .text(", ")
                .value(now + KEY_HELD)
                .text(", ");
            let taken = coach_of(taken, request.about)
                // As `is_free` says.
                .text(
                    ") ON CONFLICT (key_hash) DO UPDATE SET coach_id = excluded.coach_id, \
                     request_hash = excluded.request_hash, holder = excluded.holder, \
                     status = NULL, headers = NULL, body = NULL, \
                     expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= ",
                )
                .value(now)
                .text(" OR (idempotency_keys.status IS NULL AND idempotency_keys.expires_at > ")
                .value(latest_end_of_a_hold(now))
                .text(")")
                .execute(&self.write)
                .await?;
            Ok(taken == 1)
        })
        .await
    }

    /// How many keys stand for something of the coach; `most` if there are more.
    pub async fn keys_of(
        &self,
        coach_id: CoachId,
        most: i64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        in_time(async {
            let count = Sql::on(&self.read)
                .text(
                    "SELECT COUNT(*) AS known FROM \
                     (SELECT 1 FROM idempotency_keys WHERE coach_id = ",
                )
                .value(coach_id)
                .text(" AND expires_at > ")
                .value(now)
                .text(" LIMIT ")
                .value(most)
                .text(") AS live")
                .build();
            let row = self.read.query_one_raw(count).await?;
            let known = row.map_or(Ok(0), |row| row.try_get::<i64>("", "known"))?;
            u64::try_from(known).map_err(|_| StoreError::inconsistent(TABLE, "known"))
        })
        .await
    }

    /// Says that the request is still being carried out.
    pub async fn hold_key_longer(
        &self,
        request: &KeyedRequest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        in_time(async {
            let sql = Sql::on(&self.write)
                .text("UPDATE idempotency_keys SET expires_at = ")
                .value(now + KEY_HELD);
            held_by(sql, request).execute(&self.write).await?;
            Ok(())
        })
        .await
    }

    /// Keeps the answer, unless somebody else took the key meanwhile; answers whether it did.
    pub async fn keep_answer(
        &self,
        request: &KeyedRequest,
        answer: &KeptAnswer,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let headers = serde_json::to_string(&answer.headers)
            .map_err(|_| StoreError::inconsistent(TABLE, "headers"))?;
        in_time(async {
            let sql = Sql::on(&self.write)
                .text("UPDATE idempotency_keys SET status = ")
                .value(i32::from(answer.status))
                .text(", headers = ")
                .value(headers)
                .text(", body = ")
                .value(answer.body.as_str())
                .text(", expires_at = ")
                .value(now + ANSWER_KEPT);
            Ok(held_by(sql, request).execute(&self.write).await? == 1)
        })
        .await
    }

    /// Answers that are kept, in order of key, after `after`.
    pub async fn answers_page(
        &self,
        after: Option<&str>,
        limit: u64,
        now: Timestamp,
    ) -> Result<Vec<SealedAnswer>, StoreError> {
        let mut query = idempotency_key::Entity::find()
            .filter(idempotency_key::Column::Body.is_not_null())
            .filter(idempotency_key::Column::ExpiresAt.gt(now))
            .order_by_asc(idempotency_key::Column::KeyHash)
            .limit(limit);
        if let Some(after) = after {
            query = query.filter(idempotency_key::Column::KeyHash.gt(after));
        }
        let rows = query.all(&self.read).await?;
        let sealed = |row: idempotency_key::Model| {
            Some(SealedAnswer {
                key_hash: row.key_hash,
                holder: row.holder,
                body: row.body?,
            })
        };
        Ok(rows.into_iter().filter_map(sealed).collect())
    }

    /// Stores the same answers, each beside its body under another key; those that ended meanwhile stay
    /// away. All in one statement: beside a busy daemon each one waits for SQLite's one writer.
    pub async fn reseal_answers(
        &self,
        resealed: &[(SealedAnswer, String)],
    ) -> Result<u64, StoreError> {
        let mut sql = Sql::on(&self.write)
            .text("UPDATE idempotency_keys SET body = anew.column1 FROM (VALUES ");
        for (position, (stored, body)) in resealed.iter().enumerate() {
            sql = sql
                .text(if position > 0 { ", (" } else { "(" })
                .value(body.as_str())
                .text(", ")
                .value(stored.key_hash.as_str())
                .text(", ")
                .value(stored.holder)
                .text(")");
        }
        sql.text(") AS anew WHERE key_hash = anew.column2 AND holder = anew.column3 AND body IS NOT NULL")
            .execute(&self.write)
            .await
    }

    /// Lets the key go without an answer: whoever repeats the request carries it out.
    pub async fn let_key_go(&self, request: &KeyedRequest) -> Result<(), StoreError> {
        in_time(async {
            let sql = Sql::on(&self.write).text("DELETE FROM idempotency_keys");
            held_by(sql, request).execute(&self.write).await?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
impl Store {
    /// The table, for tests that look at what is stored.
    pub(crate) async fn all_keys(&self) -> Vec<idempotency_key::Model> {
        let rows = idempotency_key::Entity::find().all(&self.read).await;
        rows.expect("rows")
    }
}

/// Read where the key is taken, so that there is no moment in which the coach is forgotten unseen.
fn coach_of(sql: Sql, about: About) -> Sql {
    match about {
        About::Coach(coach_id) => sql.value(coach_id),
        About::Connection(id) => sql
            .text("(SELECT coach_id FROM coach_calendar_connections WHERE id = ")
            .value(id)
            .text(")"),
        About::Nobody => sql.text("NULL"),
    }
}

/// While it has no answer: a statement that comes late changes no answer.
fn held_by(sql: Sql, request: &KeyedRequest) -> Sql {
    sql.text(" WHERE status IS NULL AND key_hash = ")
        .value(request.key_hash.as_str())
        .text(" AND holder = ")
        .value(request.holder)
}

fn is_free(row: &idempotency_key::Model, now: Timestamp) -> bool {
    row.expires_at <= now || row.status.is_none() && row.expires_at > latest_end_of_a_hold(now)
}

/// No hold ends later than this, unless the clock was set back since: such a one has ended too. Twice
/// the time, for `now` may be older than the row, and another node's clock a little ahead.
fn latest_end_of_a_hold(now: Timestamp) -> Timestamp {
    now + KEY_HELD * 2
}

fn known(row: idempotency_key::Model) -> Result<KnownKey, StoreError> {
    let answer = match (row.status, row.headers, row.body) {
        (None, _, _) => None,
        (Some(status), Some(headers), Some(body)) => Some(KeptAnswer {
            status: u16::try_from(status).map_err(|_| StoreError::inconsistent(TABLE, "status"))?,
            headers: serde_json::from_str(&headers)
                .map_err(|_| StoreError::inconsistent(TABLE, "headers"))?,
            body,
        }),
        (Some(_), _, _) => return Err(StoreError::inconsistent(TABLE, "body")),
    };
    Ok(KnownKey {
        request_hash: row.request_hash,
        holder: row.holder,
        answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> Store {
        let store = Store::open(&"sqlite::memory:".into()).await.expect("open");
        store.migrate().await.expect("a schema");
        store
    }

    fn request(holder: u128) -> KeyedRequest {
        KeyedRequest {
            key_hash: "key".to_owned(),
            about: About::Nobody,
            request_hash: "asked".to_owned(),
            holder: Uuid::from_u128(holder),
        }
    }

    fn answer() -> KeptAnswer {
        KeptAnswer {
            status: 202,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: "{}".to_owned(),
        }
    }

    fn noon() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().expect("an instant")
    }

    #[tokio::test]
    async fn one_holds_a_key_until_it_is_silent_for_too_long() {
        let store = store().await;
        let (one, other, mut now) = (request(1), request(2), noon());
        assert!(store.hold_key(&one, now).await.expect("asked"));
        for _ in 0..3 {
            now += TimeDelta::seconds(4);
            assert!(!store.hold_key(&other, now).await.expect("asked"));
            store.hold_key_longer(&one, now).await.expect("held");
        }
        let known = store.known_key("key", now).await.expect("a look");
        assert_eq!(known.expect("held").answer, None);

        now += KEY_HELD;
        assert_eq!(store.known_key("key", now).await.expect("a look"), None);
        assert!(store.hold_key(&other, now).await.expect("asked"));
        // Whoever was too slow has no say any more.
        store.hold_key_longer(&one, now).await.expect("asked");
        store.let_key_go(&one).await.expect("asked");
        assert!(
            !store
                .keep_answer(&one, &answer(), now)
                .await
                .expect("asked")
        );
        assert!(
            store
                .keep_answer(&other, &answer(), now)
                .await
                .expect("asked")
        );
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_a_day_and_nothing_changes_it() {
        let store = store().await;
        let (one, other, now) = (request(1), request(2), noon());
        assert!(store.hold_key(&one, now).await.expect("asked"));
        assert!(
            store
                .keep_answer(&one, &answer(), now)
                .await
                .expect("asked")
        );
        // As a statement that was on its way when the answer came.
        store.hold_key_longer(&one, now).await.expect("asked");
        store.let_key_go(&one).await.expect("asked");
        let last = now + ANSWER_KEPT - TimeDelta::microseconds(1);
        assert!(!store.hold_key(&other, last).await.expect("asked"));
        let known = store.known_key("key", last).await.expect("a look");
        assert_eq!(known.expect("kept").answer, Some(answer()));
        let over = now + ANSWER_KEPT;
        assert_eq!(store.known_key("key", over).await.expect("a look"), None);
        assert!(store.hold_key(&other, over).await.expect("asked"));
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_blocks_no_key_and_ends_no_answer() {
        let store = store().await;
        let (one, other, now) = (request(1), request(2), noon());
        let before = now - TimeDelta::hours(1);
        assert!(store.hold_key(&one, now).await.expect("asked"));
        assert_eq!(store.known_key("key", before).await.expect("a look"), None);
        assert!(store.hold_key(&other, before).await.expect("asked"));
        assert!(
            store
                .keep_answer(&other, &answer(), now)
                .await
                .expect("asked")
        );
        assert!(!store.hold_key(&one, before).await.expect("asked"));
    }

    #[tokio::test]
    async fn what_has_expired_is_forgotten_a_thousand_at_a_time() {
        let store = store().await;
        let now = noon();
        for n in 0..1_100_u128 {
            let request = KeyedRequest {
                key_hash: n.to_string(),
                ..request(n)
            };
            assert!(store.hold_key(&request, now).await.expect("asked"));
        }
        let later = now + TimeDelta::seconds(1);
        assert!(store.hold_key(&request(1), later).await.expect("asked"));
        let over = now + KEY_HELD;
        let forgotten = async || store.forget_keys(over).await.expect("forgotten");
        assert_eq!(forgotten().await, 1_000);
        assert_eq!(forgotten().await, 100);
        assert_eq!(forgotten().await, 0);
        assert!(
            store
                .known_key("key", later)
                .await
                .expect("a look")
                .is_some()
        );
    }
}
