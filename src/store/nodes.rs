//! The nodes that share a PostgreSQL: who is alive, and which part of the providers' quotas each uses.
//!
//! All times are the database's, as those of leases are. On SQLite there is one node, and no row.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, TryGetable};

use super::open::commit;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{NodeId, ProviderKind, Timestamp};
use crate::failpoint::Step;

/// Any number, as long as it stays the same.
const CENSUS_LOCK: i64 = 0x6e_6f_64_65_73;
/// Rows of nodes that ended, kept for whoever wants to know what ran here.
const KEPT_SECONDS: f64 = 3600.0;

/// A live node.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Peer {
    pub id: NodeId,
    pub started_at: Timestamp,
}

/// Another live node, as a census finds it.
#[derive(Debug, FromQueryResult)]
struct Other {
    id: NodeId,
    share: f64,
    /// Seconds until it counts as dead, unless it says otherwise.
    seconds_left: f64,
}

/// An open census: nobody else's begins before it ends, so that parts add up.
#[derive(Debug)]
pub struct Census {
    tx: DatabaseTransaction,
    node: NodeId,
    /// The other live nodes, and the parts of the quotas that they use.
    pub others: Vec<(NodeId, f64)>,
    /// When the first of the others will count as dead, if it stays silent.
    pub next_death: Option<Duration>,
    /// Providers that refuse everybody, and for how long yet.
    pub limited: Vec<(ProviderKind, Duration)>,
}

impl Store {
    /// Looks who else is alive. PostgreSQL only.
    pub async fn census(&self, node: NodeId) -> Result<Census, StoreError> {
        in_time(async {
        let tx = self.begin().await?;
        Sql::on(&tx)
            .text("SELECT pg_advisory_xact_lock(")
            .value(CENSUS_LOCK)
            .text(")")
            .execute(&tx)
            .await?;
        let others = Sql::on(&tx)
            .text(
                "SELECT id, share, EXTRACT(EPOCH FROM expires_at - clock_timestamp())::float8 AS seconds_left \
                 FROM nodes WHERE expires_at >= clock_timestamp() AND id <> ",
            )
            .value(node)
            .build();
        let others = Other::find_by_statement(others).all(&tx).await?;
        let next_death = others
            .iter()
            .map(|other| other.seconds_left)
            .reduce(f64::min);
        let limited = limited(&tx).await?;
        Ok(Census {
            tx,
            node,
            others: others.iter().map(|other| (other.id, other.share)).collect(),
            next_death: next_death.map(seconds),
            limited,
        })
        })
        .await
    }

    /// This node acts no more.
    pub async fn leave(&self, node: NodeId) -> Result<(), StoreError> {
        in_time(async {
            Sql::on(&self.write)
                .text("DELETE FROM nodes WHERE id = ")
                .value(node)
                .execute(&self.write)
                .await?;
            Ok(())
        })
        .await
    }

    /// Live nodes, the oldest first.
    pub async fn live_nodes(&self, limit: u64) -> Result<Vec<Peer>, StoreError> {
        let sql = Sql::on(&self.read)
            .text(
                "SELECT id, started_at FROM nodes WHERE expires_at >= CURRENT_TIMESTAMP \
                 ORDER BY started_at, id LIMIT ",
            )
            .value(i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(Peer::find_by_statement(sql.build()).all(&self.read).await?)
    }

    /// Deletes nodes that ended long ago without saying so. PostgreSQL only.
    pub async fn forget_nodes(&self) -> Result<u64, StoreError> {
        Sql::on(&self.write)
            .text("DELETE FROM nodes WHERE expires_at < clock_timestamp() - make_interval(secs => ")
            .value(KEPT_SECONDS)
            .text(")")
            .execute(&self.write)
            .await
    }

    /// A provider refuses everybody for so long: for the other nodes to find. PostgreSQL only.
    pub async fn limit_provider(
        &self,
        provider: ProviderKind,
        lasts: Duration,
    ) -> Result<(), StoreError> {
        in_time(async {
            Sql::on(&self.write)
                .text("INSERT INTO provider_limits (provider, limited_until) VALUES (")
                .value(provider.as_str())
                .text(", clock_timestamp() + make_interval(secs => ")
                .value(lasts.as_secs_f64())
                .text(
                    ")) ON CONFLICT (provider) DO UPDATE SET limited_until = \
                 GREATEST(provider_limits.limited_until, excluded.limited_until)",
                )
                .execute(&self.write)
                .await?;
            Ok(())
        })
        .await
    }
}

impl Census {
    /// Says that this node is alive for `ttl`, and which part it uses.
    pub async fn commit(
        self,
        share: f64,
        ttl: Duration,
        started_at: Timestamp,
    ) -> Result<(), StoreError> {
        in_time(async {
            Sql::on(&self.tx)
                .text("INSERT INTO nodes (id, started_at, expires_at, share) VALUES (")
                .value(self.node)
                .text(", ")
                .value(started_at)
                .text(", clock_timestamp() + make_interval(secs => ")
                .value(ttl.as_secs_f64())
                .text("), ")
                .value(share)
                .text(
                    ") ON CONFLICT (id) DO UPDATE \
                 SET expires_at = excluded.expires_at, share = excluded.share",
                )
                .execute(&self.tx)
                .await?;
            commit(self.tx, Step::Census).await
        })
        .await
    }
}

async fn limited(db: &impl ConnectionTrait) -> Result<Vec<(ProviderKind, Duration)>, StoreError> {
    let statement = Sql::on(db)
        .text(
            "SELECT provider, EXTRACT(EPOCH FROM limited_until - clock_timestamp())::float8 AS seconds_left \
             FROM provider_limits WHERE limited_until > clock_timestamp()",
        )
        .build();
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| {
            let kind = ProviderKind::try_get(row, "", "provider").map_err(sea_orm::DbErr::from)?;
            let left = f64::try_get(row, "", "seconds_left").map_err(sea_orm::DbErr::from)?;
            Ok((kind, seconds(left)))
        })
        .collect()
}

fn seconds(left: f64) -> Duration {
    Duration::try_from_secs_f64(left).unwrap_or_default()
}
