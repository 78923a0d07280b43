//! Who is calling, and what they may do.
//!
//! An operation that takes a [`Bearer`] is guarded; one that does not is open, which its signature
//! shows. What is not a coach's own is hidden from the coach: another's connection looks like none.

use std::sync::Arc;

use poem::Request;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer as BearerToken;

use super::ApiState;
use super::problem::{Code, Problem};
use crate::domain::CoachId;
use crate::security::api_token::{Caller, TokenError};

/// A caller whose token was believed. Claims: `sub`, `role` (coach, service, admin), `exp`.
#[derive(SecurityScheme)]
#[oai(
    ty = "bearer",
    rename = "bearer",
    bearer_format = "JWT",
    checker = "authenticate"
)]
pub(super) struct Bearer(Caller);

async fn authenticate(request: &Request, bearer: BearerToken) -> poem::Result<Caller> {
    let state = request
        .data::<Arc<ApiState>>()
        .ok_or_else(|| Problem::new(Code::Internal))?;
    let believed = state.verifier.verify(&bearer.token).await;
    Ok(believed.map_err(|error| refusal(&error))?)
}

fn refusal(error: &TokenError) -> Problem {
    match error {
        TokenError::KeysUnavailable => Problem::new(Code::AuthUnavailable),
        TokenError::Missing
        | TokenError::Malformed
        | TokenError::WrongAlgorithm
        | TokenError::UnknownKey
        | TokenError::BadSignature
        | TokenError::MissingClaim(_)
        | TokenError::BadClaim(_)
        | TokenError::Expired
        | TokenError::NotYetValid
        | TokenError::WrongIssuer
        | TokenError::WrongAudience
        | TokenError::UnknownRole
        | TokenError::WrongSubject(_) => Problem::new(Code::Unauthorized)
            .because(error.to_string())
            .challenged(error.challenge()),
    }
}

impl Bearer {
    /// For the audit line of what cannot be taken back.
    pub(super) fn caller(&self) -> &Caller {
        &self.0
    }

    /// A coach names nobody but themselves.
    pub(super) fn may_name(&self, coach_id: CoachId) -> Result<(), Problem> {
        match &self.0 {
            Caller::Coach(own) if *own != coach_id => {
                Err(Problem::new(Code::Forbidden).because("A coach may name no other coach."))
            }
            Caller::Coach(_) | Caller::Service(_) | Caller::Admin(_) => Ok(()),
        }
    }

    /// Whether what belongs to this coach exists for the caller.
    pub(super) fn sees(&self, coach_id: CoachId) -> bool {
        self.may_name(coach_id).is_ok()
    }

    pub(super) fn is_platform(&self) -> Result<(), Problem> {
        match &self.0 {
            Caller::Service(_) | Caller::Admin(_) => Ok(()),
            Caller::Coach(_) => Err(Problem::new(Code::Forbidden)),
        }
    }

    pub(super) fn is_operator(&self) -> Result<(), Problem> {
        match &self.0 {
            Caller::Admin(_) => Ok(()),
            Caller::Coach(_) | Caller::Service(_) => Err(Problem::new(Code::Forbidden)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::api_token::Role;

    fn bearer(role: Role, subject: &str) -> Bearer {
        Bearer(Caller::new(role, subject).expect("a caller"))
    }

    #[test]
    fn each_role_has_its_reach() {
        let own = CoachId(uuid::Uuid::from_u128(1));
        let other = CoachId(uuid::Uuid::from_u128(2));
        let coach = bearer(Role::Coach, &own.to_string());
        let service = bearer(Role::Service, "booking");
        let admin = bearer(Role::Admin, "ops");
        assert!(coach.sees(own) && !coach.sees(other));
        assert!(service.sees(other) && admin.sees(other));
        assert!(coach.is_platform().is_err() && coach.is_operator().is_err());
        assert!(service.is_platform().is_ok() && service.is_operator().is_err());
        assert!(admin.is_platform().is_ok() && admin.is_operator().is_ok());
    }
}
