//! Who is calling, and what they may do.
//!
//! An operation that takes a [`Bearer`] is guarded; one that does not is open, which its signature
//! shows. What is not a coach's own is hidden from the coach: another's connection looks like none.

use std::sync::Arc;

use poem::{Endpoint, Request};
use poem_openapi::SecurityScheme;
use poem_openapi::auth::{Bearer as BearerToken, BearerAuthorization};

use super::ApiState;
use super::edge::Address;
use super::problem::{Code, Problem};
use crate::domain::{Actor, ActorRole, Cause, CoachId, Origin, Timestamp};
use crate::security::api_token::{Caller, Role, Token, TokenError};

/// A caller whose token was believed. Claims: `sub`, `role` (coach, service, admin), `exp`.
#[derive(SecurityScheme)]
#[oai(
    ty = "bearer",
    rename = "bearer",
    bearer_format = "JWT",
    checker = "authenticate"
)]
pub(super) struct Bearer(Believed);

#[derive(Clone, Debug)]
pub(super) struct Believed {
    token: Token,
    cause: Cause,
}

/// Who sent the request, where no operation has asked yet. The operation will find it with the request,
/// which is counted once.
pub(super) async fn caller_of(request: &mut Request) -> poem::Result<Caller> {
    let bearer = BearerToken::from_request(request)?;
    let believed = authenticate(request, bearer).await?;
    let caller = believed.token.caller.clone();
    request.set_data(believed);
    Ok(caller)
}

/// `transform` of operations that are the platform's and take large bodies: nobody else's is read.
pub(super) fn for_the_platform<E: Endpoint>(operation: E) -> ForThePlatform<E> {
    ForThePlatform(operation)
}

pub(super) struct ForThePlatform<E>(E);

impl<E: Endpoint> Endpoint for ForThePlatform<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<E::Output> {
        of_the_platform(&caller_of(&mut request).await?)?;
        self.0.call(request).await
    }
}

fn of_the_platform(caller: &Caller) -> Result<(), Problem> {
    match caller {
        Caller::Service(_) | Caller::Admin(_) => Ok(()),
        Caller::Coach(_) => Err(Problem::new(Code::Forbidden)),
    }
}

async fn authenticate(request: &Request, bearer: BearerToken) -> poem::Result<Believed> {
    if let Some(believed) = request.data::<Believed>() {
        return Ok(believed.clone());
    }
    let state = request
        .data::<Arc<ApiState>>()
        .ok_or_else(|| Problem::new(Code::Internal))?;
    let token = match state.verifier.read(&bearer.token).await {
        Ok(token) => token,
        Err(error) => {
            if let Some(address) = request.data::<Address>()
                && is_guess(error)
            {
                state.limits.note_bad_token(*address).await;
            }
            return Err(refusal(&error).into());
        }
    };
    state.limits.admit_caller(&token.caller)?;
    Ok(Believed {
        token,
        cause: request.data::<Cause>().cloned().unwrap_or_default(),
    })
}

/// Whether it may be one. What is wrong with the claims is seen only after the signature was found right.
fn is_guess(error: TokenError) -> bool {
    match error {
        TokenError::Malformed
        | TokenError::WrongAlgorithm
        | TokenError::UnknownKey
        | TokenError::BadSignature => true,
        TokenError::Missing
        | TokenError::MissingClaim(_)
        | TokenError::BadClaim(_)
        | TokenError::Expired
        | TokenError::NotYetValid
        | TokenError::WrongIssuer
        | TokenError::WrongAudience
        | TokenError::UnknownRole
        | TokenError::WrongSubject(_)
        | TokenError::KeysUnavailable => false,
    }
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
    /// For the log line of what cannot be taken back.
    pub(super) fn caller(&self) -> &Caller {
        &self.0.token.caller
    }

    /// When an answer that goes on must end.
    pub(super) fn good_until(&self) -> Timestamp {
        self.0.token.good_until
    }

    /// For the audit trail.
    pub(super) fn origin(&self) -> Origin {
        let caller = self.caller();
        Origin {
            actor: Actor {
                subject: caller.subject(),
                role: match caller.role() {
                    Role::Coach => ActorRole::Coach,
                    Role::Service => ActorRole::Service,
                    Role::Admin => ActorRole::Admin,
                },
            },
            cause: self.0.cause.clone(),
        }
    }

    /// For the work that the request asks for.
    pub(super) fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// A coach names nobody but themselves.
    pub(super) fn may_name(&self, coach_id: CoachId) -> Result<(), Problem> {
        match self.caller() {
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
        of_the_platform(self.caller())
    }

    pub(super) fn is_operator(&self) -> Result<(), Problem> {
        match self.caller() {
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
        Bearer(Believed {
            token: Token {
                caller: Caller::new(role, subject).expect("a caller"),
                good_until: Timestamp::MAX_UTC,
            },
            cause: Cause::NONE,
        })
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
