//! What happens to every request, whatever it asks for.
//!
//! Owns the request id, how much may be asked, the time limit, the safety net for panics, the form of
//! errors, the headers every answer carries, CORS, and one log line and one measurement per request. No
//! query string and no body is logged:
//! they hold codes, states and client details.

mod cors;
mod headers;
mod limits;
mod request_id;
mod routes;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use poem::http::header::ALLOW;
use poem::http::{Method, StatusCode};
use poem::{Endpoint, IntoResponse, PathPattern, Request, Response};
use poem_openapi::OperationId;
use tracing::Instrument;

use self::cors::Cors;
pub(super) use self::limits::Address;
pub use self::limits::RequestLimits;
pub(super) use self::request_id::RequestId;
use self::routes::{allowed_at, template};
use super::idempotency::Repeated;
use super::problem::{Code, Problem, problem_of};
use super::{ApiState, BASE_PATH};
use crate::domain::Cause;
use crate::traces::{Part, Span};

/// How long a request may take, its body's journey and its waiting for others included.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The outermost layer.
pub(super) struct Edge<E> {
    inner: E,
    state: Arc<ApiState>,
    cors: Cors,
}

impl<E> Edge<E> {
    pub(super) fn new(inner: E, state: Arc<ApiState>) -> Self {
        Self {
            inner,
            cors: Cors::new(&state.web.allowed_origins()),
            state,
        }
    }
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let began = self.state.clock.monotonic();
        let id = RequestId::of(&request, &*self.state.entropy);
        let method = request.method().clone();
        let origin = self.cors.allowed_origin(request.headers());
        let mut traced = self.traced(&request);
        let is_api = headers::is_api(request.uri().path());
        request.set_data(self.state.clone());
        request.set_data(id.clone());
        let cause = Cause {
            request_id: Some(id.as_str().to_owned()),
            traceparent: traced.traceparent(),
        };
        request.set_data(cause.clone());

        let mut response = match self.cors.preflight(&request) {
            Some(answer) => answer,
            None => {
                let trace_id = cause.trace_id();
                let span = tracing::info_span!("request", request_id = id.as_str(), trace_id);
                self.admit(request, &id).instrument(span).await
            }
        };
        headers::secure(response.headers_mut(), is_api);
        self.cors.mark(response.headers_mut(), origin);
        response
            .headers_mut()
            .insert(request_id::HEADER, id.header_value());
        let latency = self.state.clock.monotonic().saturating_sub(began);
        let route = response.data::<PathPattern>().map_or("none", template);
        log(&method, route, &response, &id, &cause, latency);
        let status = response.status().as_u16();
        if traced.is_collected() {
            let operation = response.data::<OperationId>();
            traced.rename(match operation {
                Some(operation) => operation.0.to_owned(),
                None => format!("{} {route}", known(&method)),
            });
            traced.set("http.request.method", known(&method).to_owned());
            traced.set("http.route", route.to_owned());
            traced.set("http.response.status_code", i64::from(status));
            traced.set("request_id", id.as_str().to_owned());
            if response.status().is_server_error() {
                traced.fail("server_error");
            }
        }
        traced.end();
        let health = &self.state.health;
        health.answered(method.as_str(), route, status, latency);
        Ok(response)
    }
}

impl<E: Endpoint> Edge<E> {
    /// The request's span, in the caller's trace if it names one. Machines that only watch have none.
    fn traced(&self, request: &Request) -> Span {
        if is_watching(request.uri().path()) {
            return Span::none();
        }
        let parent = request.header("traceparent");
        let traces = &self.state.traces;
        traces.begin(Part::Request, known(request.method()), parent)
    }

    /// Counts the request against its address before anything else looks at it.
    async fn admit(&self, mut request: Request, id: &RequestId) -> Response {
        let address = self.state.limits.address_of(&request);
        request.set_data(address);
        if is_counted(request.uri().path())
            && let Err(problem) = self.state.limits.admit_address(address)
        {
            return problem.into_response(id.as_str());
        }
        self.answer(request, id).await
    }

    async fn answer(&self, request: Request, id: &RequestId) -> Response {
        let answering = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        let error = match tokio::time::timeout(TIME_LIMIT, answering).await {
            Ok(Ok(Ok(response))) => return response.into_response(),
            Ok(Ok(Err(error))) => error,
            // The panic's own text goes where the panic hook writes.
            Ok(Err(_)) => Problem::new(Code::Internal).into(),
            Err(_) => Problem::new(Code::Timeout).into(),
        };
        let pattern = error.data::<PathPattern>().cloned();
        let operation = error.data::<OperationId>().map(|id| OperationId(id.0));
        let mut response = refused(problem_of(error), id);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = allowed_at(pattern.as_ref());
            response.headers_mut().insert(ALLOW, allowed);
        }
        if let Some(pattern) = pattern {
            response.set_data(pattern);
        }
        if let Some(operation) = operation {
            response.set_data(operation);
        }
        response
    }
}

/// Probes are never turned away. A browser that comes back from consent is sent back in any case: the
/// callback counts by itself.
fn is_counted(path: &str) -> bool {
    let is_callback = || path.strip_prefix(BASE_PATH) == Some("/callback");
    !matches!(path, "/health/live" | "/health/ready") && !is_callback()
}

fn refused(problem: Problem, id: &RequestId) -> Response {
    if problem.code.status().is_server_error() {
        tracing::error!(
            code = problem.code.as_str(),
            error = &problem as &dyn std::error::Error,
            "request failed"
        );
    }
    problem.into_response(id.as_str())
}

/// Callers may send any word as a method, a secret too.
fn known(method: &Method) -> &str {
    let all = [
        Method::GET,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::PATCH,
        Method::HEAD,
        Method::OPTIONS,
    ];
    if all.contains(method) {
        method.as_str()
    } else {
        "other"
    }
}

fn log(
    method: &Method,
    route: &str,
    response: &Response,
    id: &RequestId,
    cause: &Cause,
    latency: Duration,
) {
    let operation = response.data::<OperationId>().map(|operation| operation.0);
    /// One line, at the level of how much it matters.
    macro_rules! answered {
        ($level:ident) => {
            tracing::$level!(
                request_id = id.as_str(),
                trace_id = cause.trace_id(),
                method = known(method),
                route,
                operation = operation.unwrap_or("none"),
                repeated = response.data::<Repeated>().is_some(),
                status = response.status().as_u16(),
                latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
                "request answered"
            )
        };
    }
    if is_watching(route) && response.status().is_success() {
        answered!(debug);
    } else {
        answered!(info);
    }
}

/// Asked every few seconds by machines that tell by themselves when the answer is bad.
fn is_watching(route: &str) -> bool {
    matches!(route, "/health/live" | "/health/ready" | "/metrics")
}
