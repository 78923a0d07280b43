//! JSON bodies: bounded, and checked against the very schema that is published.
//!
//! Each kind of body has a bound of its own, a little above what its fields can fill; [`room`] bounds all of
//! them together.
//!
//! poem-openapi stops at the first mistake and quotes the value it found, so [`check`] looks first:
//! it names every mistake by its place and repeats nothing. Fields the schema does not know are
//! refused, for a mistyped one would be ignored in silence.

mod check;
mod room;

use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt;
use poem::error::ReadBodyError;
use poem::{Body, Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

pub use self::room::BodyRoom;
pub(super) use self::room::Held;
use super::ApiState;
use super::problem::{Code, Problem};

/// Of a request whose operation takes no body: some clients send `{}` all the same.
pub(super) const NO_BODY_BYTES: usize = 4 * 1024;
/// Larger ones are for the platform alone, whose operations are `for_the_platform`.
pub(super) const MOST_OF_A_COACH: usize = 64 * 1024;

/// What may be sent as a body.
pub(super) trait Sent: ParseFromJSON {
    /// JSON may need twelve bytes to write a character.
    const MAX_BYTES: usize;
}

impl<T: Sent> Sent for Option<T> {
    const MAX_BYTES: usize = T::MAX_BYTES;
}

/// A JSON body that has the documented form, and the room it takes.
#[derive(Debug)]
pub(super) struct JsonBody<T>(
    pub(super) T,
    #[expect(dead_code, reason = "held for as long as the value")] Option<Held>,
);

impl<T: Type> Payload for JsonBody<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Sent> ParsePayload for JsonBody<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let (bytes, held) = read(request, body.take()?, T::MAX_BYTES).await?;
        if bytes.is_empty() && !T::IS_REQUIRED {
            return Ok(Self(parsed(None)?, held));
        }
        if !request.content_type().is_some_and(is_json) {
            return Err(Problem::new(Code::UnsupportedMediaType).into());
        }
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(Code::InvalidBody).because(format!(
                "The body is not JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))
        })?;
        let mut registry = Registry::new();
        T::register(&mut registry);
        let errors = check::check(&value, &T::schema_ref(), &registry);
        if !errors.is_empty() {
            return Err(Problem::new(Code::InvalidBody).with_errors(errors).into());
        }
        Ok(Self(parsed(Some(value))?, held))
    }
}

/// The whole body, and the room it takes: none if it was read before, for then who read it has the room.
pub(super) async fn read(
    request: &Request,
    body: Body,
    most: usize,
) -> poem::Result<(Vec<u8>, Option<Held>)> {
    let state = request.data::<Arc<ApiState>>();
    let state = state.ok_or_else(|| Problem::new(Code::Internal))?;
    let mut held = match request.data::<Held>() {
        Some(_) => None,
        None => Some(state.bodies.take(0, most)?),
    };
    let mut bytes = Vec::new();
    let mut pieces = pin!(body.into_bytes_stream());
    while let Some(piece) = pieces.try_next().await.map_err(ReadBodyError::Io)? {
        if bytes.len() + piece.len() > most {
            return Err(ReadBodyError::PayloadTooLarge.into());
        }
        if let Some(held) = &mut held {
            held.merge(state.bodies.take(piece.len(), most)?);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, held.map(Held::from)))
}

/// What passed the check and is refused all the same has a mistake that the schema cannot say.
fn parsed<T: ParseFromJSON>(value: Option<Value>) -> Result<T, Problem> {
    T::parse_from_json(value).map_err(|_| Problem::new(Code::InvalidBody))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

impl<'a, T: Sent> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: <Self as Payload>::CONTENT_TYPE,
                schema: <Self as Payload>::schema_ref(),
            }],
            required: <Self as ParsePayload>::IS_REQUIRED,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        <Self as ParsePayload>::from_request(request, body).await
    }
}
