//! Table `connection_leases`: who acts for a connection, and when there is something to do.

use sea_orm::entity::prelude::*;

use crate::domain::{ConnectionId, NodeId, Timestamp, Wait, WaitReason};
use crate::plan::{Breaker, Outage};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_leases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    pub node: Option<NodeId>,
    pub epoch: i64,
    /// The epoch at whose end nothing of the account's quota was used any more, if that was told.
    pub rested_epoch: Option<i64>,
    pub expires_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    /// Why not before; `None` where it does not matter.
    pub wait_reason: Option<WaitReason>,
    pub fruitless_rounds: i32,
    pub outage_since: Option<Timestamp>,
    pub outage_seen_at: Option<Timestamp>,
    /// The node that waits for the lease, until then.
    pub wanted_by: Option<NodeId>,
    pub wanted_until: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub fn wait(&self) -> Option<Wait> {
        self.not_before.map(|until| Wait {
            until,
            // Without a reason it was set by an older version, perhaps as a limit.
            why: self.wait_reason.unwrap_or(WaitReason::Limit),
        })
    }

    pub fn breaker(&self) -> Breaker {
        let outage = self.outage_since.zip(self.outage_seen_at);
        Breaker {
            fruitless: self.fruitless_rounds,
            outage: outage.map(|(since, seen_at)| Outage { since, seen_at }),
        }
    }
}
