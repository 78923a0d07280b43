//! Signing in: the way to the consent screen and back.

use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem::http::header::COOKIE;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::access::Bearer;
use super::document::Tag;
use super::edge::{Address, TIME_LIMIT};
use super::problem::{Code, Problem, Refused, refusals};
use super::{ApiState, BASE_PATH, UtcTime};
use crate::domain::{Cause, CoachId, ProviderKind};
use crate::oauth::{Browser, Callback, Connected, StartRefused, Started};

/// How long a browser waits for its sign-in to be finished: less than the edge allows, which would not
/// send it back.
const BROWSERS_PATIENCE: Duration = TIME_LIMIT.saturating_sub(Duration::from_secs(2));

pub(super) struct ConnectApi;

/// A sign-in that was begun.
#[derive(Debug, Object)]
struct SignIn {
    provider: ProviderKind,
    /// Where to send the browser.
    authorization_url: String,
    /// The sign-in must be finished by then.
    expires_at: UtcTime,
}

#[derive(ApiResponse)]
enum StartAnswer {
    /// Send the browser to the address.
    #[oai(status = 200)]
    Address(
        Json<SignIn>,
        /// Binds the sign-in to this browser.
        #[oai(header = "Set-Cookie")]
        String,
    ),
    /// With `redirect=true`: the browser is on its way.
    #[oai(status = 302)]
    Redirect(
        #[oai(header = "Location")] String,
        /// Binds the sign-in to this browser.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

#[derive(ApiResponse)]
enum CallbackAnswer {
    /// Back to the return address, with `success=connected&provider=…&connection_id=…` or
    /// `error=CODE&provider=…`: access_denied, missing_parameters, invalid_state, expired_state,
    /// insufficient_scope, exchange_failed, calendar_access_failed, provider_error.
    #[oai(status = 303)]
    SeeOther(#[oai(header = "Location")] String),
}

refusals! {
    ToStart: [InvalidReturnTo, ProviderNotConfigured];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Connect")]
impl ConnectApi {
    /// Begin to connect a calendar account.
    ///
    /// Answers the address of the provider's consent screen, and sets a cookie without which the
    /// sign-in cannot be finished: the browser itself must ask.
    #[oai(
        path = "/connect/:provider/:coach_id",
        method = "get",
        operation_id = "start_sign_in"
    )]
    #[expect(
        clippy::too_many_arguments,
        reason = "one per parameter of the request"
    )]
    async fn start_sign_in(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        request: &Request,
        provider: Path<ProviderKind>,
        coach_id: Path<CoachId>,
        /// `true`: answer with a redirect.
        redirect: Query<Option<bool>>,
        /// Where the browser goes afterwards, on an allowed origin; else to the configured page.
        return_to: Query<Option<String>>,
    ) -> Result<StartAnswer, Refused<ToStart>> {
        bearer.may_name(coach_id.0)?;
        let started = state
            .flow
            .start(
                provider.0,
                coach_id.0,
                return_to.0.as_deref(),
                browser_of(request),
                bearer.origin().actor,
            )
            .await
            .map_err(refusal)?;
        let cookie = cookie(&started, &state);
        let address = String::from(started.authorization_url);
        if redirect.0.unwrap_or(false) {
            return Ok(StartAnswer::Redirect(address, cookie));
        }
        let sign_in = SignIn {
            provider: provider.0,
            authorization_url: address,
            expires_at: started.expires_at.into(),
        };
        Ok(StartAnswer::Address(Json(sign_in), cookie))
    }

    /// Where a provider sends the browser back to.
    ///
    /// Not to be called by programs. It finishes the sign-in that this browser began, and then sends
    /// the browser to the return address with the result in its query.
    #[oai(path = "/callback", method = "get", operation_id = "finish_sign_in")]
    async fn finish_sign_in(
        &self,
        state: Data<&Arc<ApiState>>,
        request: &Request,
        /// Present if the coach agreed.
        code: Query<Option<String>>,
        /// As it was in the address of the consent screen.
        #[oai(name = "state")]
        sign_in_state: Query<Option<String>>,
        /// Present if it came to nothing.
        error: Query<Option<String>>,
        /// Who sends the browser back (RFC 9207). If it is told, it must be the provider that was asked.
        iss: Query<Option<String>>,
    ) -> CallbackAnswer {
        let callback = Callback {
            state: sign_in_state.0,
            code: code.0.map(Into::into),
            error: error.0,
            issuer: iss.0,
        };
        if is_too_much(request, &state) {
            // The browser is told the nearest word there is.
            tracing::info!(
                "a browser that came back was turned away: too many requests of its address"
            );
            return CallbackAnswer::SeeOther(state.flow.turn_away().into());
        }
        let cause = request.data::<Cause>().cloned().unwrap_or_default();
        let browser = browser_of(request);
        let waker = state.waker.clone();
        let told = move |connected: Connected| {
            waker.wake(&[connected.connection_id]);
            waker.coach_changed(connected.coach_id);
        };
        let finishing = state
            .flow
            .finish(callback, browser, cause, BROWSERS_PATIENCE, told);
        let finished = finishing.await;
        CallbackAnswer::SeeOther(finished.location.into())
    }
}

/// A browser that comes back is sent back in any case, with 429 as well: its page would show nothing.
fn is_too_much(request: &Request, state: &ApiState) -> bool {
    let address = request.data::<Address>();
    address.is_some_and(|address| state.limits.admit_address(*address).is_err())
}

fn browser_of(request: &Request) -> Option<Browser> {
    let headers = request.headers().get_all(COOKIE);
    Browser::of_cookies(headers.iter().filter_map(|value| value.to_str().ok()))
}

fn cookie(started: &Started, state: &ApiState) -> String {
    // Behind a proxy the API may lie below a path of its own.
    let base = state.web.public_url.path().trim_end_matches('/');
    started.set_cookie(&format!("{base}{BASE_PATH}"), state.web.secure_cookies())
}

fn refusal(refused: StartRefused) -> Problem {
    match refused {
        StartRefused::NotConfigured => Problem::new(Code::ProviderNotConfigured),
        StartRefused::ReturnAddress(why) => {
            Problem::new(Code::InvalidReturnTo).because(why.to_string())
        }
        StartRefused::Store(error) => error.into(),
    }
}
