//! Which problems an operation documents, and that it answers no other.

use std::marker::PhantomData;

use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;

use super::{Code, Problem, ProblemBody};
use crate::store::StoreError;

/// The problems of one guarded operation, beyond what can happen to all of them.
pub(in crate::api) trait Documented: Send + Sync + 'static {
    const CODES: &'static [Code];
}

/// Can happen wherever a token is asked for and the database is.
const ALWAYS: &[Code] = &[
    Code::InvalidParameter,
    Code::Unauthorized,
    Code::Forbidden,
    Code::TooManyRequests,
    Code::AuthUnavailable,
    Code::DatabaseUnavailable,
    Code::Internal,
    Code::Timeout,
];

/// Names a set of problems: `refusals!(ToChange: [ConnectionNotFound, InvalidSettings]);`
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: [$($code:ident),* $(,)?];)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl $crate::api::problem::Documented for $name {
            const CODES: &'static [$crate::api::problem::Code] =
                &[$($crate::api::problem::Code::$code),*];
        }
    )+};
}
pub(in crate::api) use refusals;

/// A problem that the operation with the documentation `D` answers.
#[derive(Debug)]
pub(in crate::api) struct Refused<D>(Problem, PhantomData<D>);

impl<D: Documented> Refused<D> {
    fn codes() -> Vec<Code> {
        [D::CODES, ALWAYS].concat()
    }
}

impl<D: Documented> From<Problem> for Refused<D> {
    fn from(problem: Problem) -> Self {
        debug_assert!(
            Self::codes().contains(&problem.code),
            "{:?} is not documented by {}",
            problem.code,
            std::any::type_name::<D>()
        );
        Self(problem, PhantomData)
    }
}

impl<D: Documented> From<Code> for Refused<D> {
    fn from(code: Code) -> Self {
        Problem::new(code).into()
    }
}

impl<D: Documented> From<StoreError> for Refused<D> {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl<D: Documented> From<Refused<D>> for poem::Error {
    fn from(refused: Refused<D>) -> Self {
        refused.0.into()
    }
}

impl<D: Documented> ApiResponse for Refused<D> {
    /// One answer per status, each naming the codes it may carry.
    fn meta() -> MetaResponses {
        let mut codes = Self::codes();
        codes.sort_by_key(|code| (code.status(), code.as_str()));
        codes.dedup();
        let responses = codes
            .chunk_by(|one, other| one.status() == other.status())
            .map(response)
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

fn response(codes: &[Code]) -> MetaResponse {
    let status = codes.first().map_or(500, |code| code.status().as_u16());
    MetaResponse {
        description: meaning(status),
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType {
            content_type: "application/problem+json",
            schema: schema(codes),
        }],
        headers: match status {
            401 => vec![header::<String>("WWW-Authenticate", "how to authenticate")],
            429 | 503 => vec![retry_after(true)],
            _ if codes.contains(&Code::IdempotencyKeyInUse) => vec![retry_after(false)],
            _ => Vec::new(),
        },
    }
}

fn schema(codes: &[Code]) -> MetaSchemaRef {
    let words = codes.iter().map(|code| code.as_str().into()).collect();
    let narrowed = MetaSchema {
        properties: vec![(
            "code",
            MetaSchemaRef::Inline(Box::new(MetaSchema {
                enum_items: words,
                ..MetaSchema::new("string")
            })),
        )],
        ..MetaSchema::new("object")
    };
    MetaSchemaRef::Inline(Box::new(MetaSchema {
        all_of: vec![
            ProblemBody::schema_ref(),
            MetaSchemaRef::Inline(Box::new(narrowed)),
        ],
        ..MetaSchema::ANY
    }))
}

/// `is_always`: with each code of the status.
fn retry_after(is_always: bool) -> MetaHeader {
    MetaHeader {
        required: is_always,
        ..header::<u64>("Retry-After", "seconds until it is worth another try")
    }
}

fn header<T: Type>(name: &str, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema: T::schema_ref(),
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request does not have the documented form.",
        401 => "No valid bearer token was sent.",
        403 => "The token does not allow this.",
        404 => "It does not exist, or is not the caller's.",
        409 => "It is not in a state that allows this.",
        412 => "It is no longer as the client has it.",
        413 => "The body is too large.",
        415 => "The body is not JSON.",
        422 => "The request is well-formed, but cannot be as asked.",
        429 => "Too much was asked; come back after the time named.",
        502 => "The calendar service refused.",
        503 => "Not for now; come back after the time named.",
        504 => "It took too long; it may have taken effect.",
        _ => "Something failed here; the request id finds it in the log.",
    }
}
