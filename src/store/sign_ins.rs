//! Sign-ins under way, each used once.
//!
//! One that was used stays, under a name that no state has, until it becomes a connection or expires: a
//! coach who leaves meanwhile takes it along, and then nothing is connected any more.

use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, EntityTrait};
use uuid::Uuid;

use super::entity::sign_in;
use super::patience::in_time;
use super::sql::Sql;
use super::{Store, StoreError};
use crate::domain::{Actor, CoachId, ProviderKind, Timestamp};
use crate::failpoint::{self, Step};

/// What must be known when the browser comes back.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    pub state_hash: String,
    /// Names the row where its verifier was sealed.
    pub id: Uuid,
    pub provider: ProviderKind,
    pub coach_id: CoachId,
    pub browser_hash: String,
    pub sealed_verifier: String,
    pub return_to: String,
    /// `None` only of a node of an older version.
    pub asked_by: Option<Actor>,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl Store {
    pub async fn begin_sign_in(&self, sign_in: &SignIn, now: Timestamp) -> Result<(), StoreError> {
        let row = sign_in::ActiveModel {
            state_hash: Set(sign_in.state_hash.clone()),
            id: Set(sign_in.id),
            provider: Set(sign_in.provider),
            coach_id: Set(sign_in.coach_id),
            browser_hash: Set(sign_in.browser_hash.clone()),
            verifier: Set(sign_in.sealed_verifier.clone()),
            return_to: Set(sign_in.return_to.clone()),
            actor: Set(sign_in.asked_by.as_ref().map(|actor| actor.subject.clone())),
            role: Set(sign_in.asked_by.as_ref().map(|actor| actor.role)),
            created_at: Set(now),
            expires_at: Set(sign_in.expires_at),
        };
        in_time(async {
            failpoint::before(Step::SignInBegin)?;
            sign_in::Entity::insert(row)
                .exec_without_returning(&self.write)
                .await?;
            Ok(failpoint::after(Step::SignInBegin)?)
        })
        .await
    }

    /// Uses the sign-in up: of two browsers that come back with the same state, one gets it.
    pub async fn take_sign_in(&self, state_hash: &str) -> Result<Option<SignIn>, StoreError> {
        let statement = Sql::on(&self.write)
            .text("UPDATE sign_ins SET state_hash = ")
            .value(used(state_hash))
            .text(" WHERE state_hash = ")
            .value(state_hash)
            .text(" RETURNING *")
            .build();
        let row = in_time(async {
            failpoint::before(Step::SignInTake)?;
            let row = sign_in::Entity::find()
                .from_raw_sql(statement)
                .one(&self.write)
                .await?;
            failpoint::after(Step::SignInTake)?;
            Ok(row)
        });
        let Some(row) = row.await? else {
            return Ok(None);
        };
        Ok(Some(SignIn {
            state_hash: state_hash.to_owned(),
            id: row.id,
            provider: row.provider,
            coach_id: row.coach_id,
            browser_hash: row.browser_hash,
            sealed_verifier: row.verifier,
            return_to: row.return_to,
            asked_by: row
                .actor
                .zip(row.role)
                .map(|(subject, role)| Actor { subject, role }),
            expires_at: row.expires_at,
        }))
    }
}

/// Forgets a used sign-in as it becomes a connection; false if it is gone already.
pub(super) async fn finish(
    db: &impl ConnectionTrait,
    state_hash: &str,
) -> Result<bool, StoreError> {
    let finished = Sql::on(db)
        .text("DELETE FROM sign_ins WHERE state_hash = ")
        .value(used(state_hash))
        .execute(db)
        .await?;
    Ok(finished == 1)
}

/// What a used one is called. States are looked up by their hash, in hex.
fn used(state_hash: &str) -> String {
    format!("used {state_hash}")
}
