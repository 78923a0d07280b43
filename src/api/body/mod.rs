//! JSON bodies: bounded, and checked against the very schema that is published.
//!
//! poem-openapi stops at the first mistake and quotes the value it found, so [`check`] looks first:
//! it names every mistake by its place and repeats nothing. Fields the schema does not know are
//! refused, for a mistyped one would be ignored in silence.

mod check;

use poem::{Body, Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

use super::problem::{Code, Problem};

/// The largest body of most requests.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The largest body of any request.
pub(super) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What may be sent as a body.
pub(super) trait Sent: ParseFromJSON {
    const MAX_BYTES: usize = MAX_BYTES;
}

impl<T: Sent> Sent for Option<T> {
    const MAX_BYTES: usize = T::MAX_BYTES;
}

/// A JSON body that has the documented form.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

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
        let bytes = read(body.take()?, T::MAX_BYTES).await?;
        if bytes.is_empty() && !T::IS_REQUIRED {
            return Ok(Self(parsed(None)?));
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
        Ok(Self(parsed(Some(value))?))
    }
}

/// The body of a request to whichever operation.
pub(super) async fn read_any(body: Body) -> poem::Result<Vec<u8>> {
    read(body, MOST_BYTES).await
}

async fn read(body: Body, most: usize) -> poem::Result<Vec<u8>> {
    Ok(body.into_bytes_limit(most).await?.to_vec())
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
