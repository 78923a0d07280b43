//! Errors that poem and poem-openapi make, as problems of ours.

use poem::Error;
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, RouteError};
use poem::http::StatusCode;
use poem_openapi::error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError};

use super::{Code, Problem};

/// No text of a foreign error is passed on: some quote the request.
pub(in crate::api) fn problem_of(error: Error) -> Problem {
    let error = match error.downcast::<Problem>() {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    if let Some(refused) = error.downcast_ref::<ParseParamError>() {
        return bad_parameter(refused.name);
    }
    if error.is::<ParsePathError>() {
        return Problem::new(Code::InvalidParameter)
            .because("A part of the path does not have the documented form.");
    }
    if error.is::<AuthorizationError>() {
        return Problem::new(Code::Unauthorized).challenged("Bearer".to_owned());
    }
    if error.is::<ContentTypeError>() {
        return Problem::new(Code::UnsupportedMediaType);
    }
    if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref::<ReadBodyError>() {
        return Problem::new(Code::PayloadTooLarge);
    }
    if error.is::<NotFoundError>() || error.is::<RouteError>() {
        return Problem::new(Code::NotFound);
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::new(Code::MethodNotAllowed);
    }
    let code = match error.status() {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        status if status.is_client_error() => Code::InvalidBody,
        _ => Code::Internal,
    };
    Problem::new(code).caused_by(error)
}

fn bad_parameter(name: &str) -> Problem {
    Problem::new(Code::InvalidParameter).because(format!(
        "The parameter `{name}` is missing or does not have the documented form."
    ))
}
