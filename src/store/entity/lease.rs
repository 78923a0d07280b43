//! Table `connection_leases`: who acts for a connection, and when there is something to do.

use sea_orm::entity::prelude::*;

use crate::domain::{ConnectionId, NodeId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_leases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    pub node: Option<NodeId>,
    pub epoch: i64,
    pub expires_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    /// The node that waits for the lease, until then.
    pub wanted_by: Option<NodeId>,
    pub wanted_until: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
