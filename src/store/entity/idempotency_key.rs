//! Table `idempotency_keys`.

use sea_orm::entity::prelude::*;

use crate::domain::{CoachId, Timestamp};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_hash: String,
    pub coach_id: Option<CoachId>,
    pub request_hash: String,
    pub holder: Uuid,
    pub status: Option<i32>,
    pub headers: Option<String>,
    pub body: Option<String>,
    pub expires_at: Timestamp,
}

/// An answer is its caller's alone.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("idempotency_key::Model")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
