//! Which web pages of other origins may call the API from a browser.
//!
//! Written here because poem's own middleware refuses every request whose origin is not listed, also
//! those that need no permission, and leaves out `Vary` where it matters to caches. A page that is
//! not listed is simply not given permission: its browser then keeps the answer from it.

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode};
use poem::{Request, Response};
use url::Origin;

const METHODS: &str = "GET, PUT, POST, DELETE";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id";
const ANSWER_HEADERS: &str = "ETag, Retry-After, X-Request-Id";
/// How long a browser may remember the permission, seconds.
const MAX_AGE: &str = "3600";

pub(super) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(super) fn new(origins: &[Origin]) -> Self {
        let origins = origins.iter().map(Origin::ascii_serialization).collect();
        Self { origins }
    }

    /// The origin of the page that asks, if it is on the list.
    pub(super) fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let is_listed = self.origins.iter().any(|listed| origin == listed.as_str());
        is_listed.then(|| origin.clone())
    }

    /// The answer to a browser that asks for permission first.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let answer = Response::builder().status(StatusCode::NO_CONTENT);
        let answer = match self.allowed_origin(headers) {
            Some(_) => answer
                .header(ACCESS_CONTROL_ALLOW_METHODS, METHODS)
                .header(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
                .header(ACCESS_CONTROL_MAX_AGE, MAX_AGE),
            None => answer,
        };
        Some(answer.finish())
    }

    /// Marks an answer as readable for the page, if it is on the list.
    pub(super) fn mark(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(ANSWER_HEADERS),
        );
    }
}
