//! Table `sign_ins`.

use sea_orm::entity::prelude::*;

use crate::domain::{ActorRole, CoachId, ProviderKind, Timestamp};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_ins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub state_hash: String,
    pub id: Uuid,
    pub provider: ProviderKind,
    pub coach_id: CoachId,
    pub browser_hash: String,
    pub verifier: String,
    pub return_to: String,
    pub actor: Option<String>,
    pub role: Option<ActorRole>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("sign_in::Model")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
