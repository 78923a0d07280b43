//! Connecting an account as a browser does: begin at our API, consent at the provider, come back.

use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::api::Api;
use super::patience::{CallError, accepted, patiently, send};
use crate::domain::{CoachId, ConnectionId, ProviderKind};

const TOKEN_TTL: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
struct Begun {
    authorization_url: Url,
}

/// Connects the account; begins anew if a server went away on the way.
pub(super) async fn connect(
    api: &Api,
    provider: ProviderKind,
    coach: CoachId,
    account: &str,
) -> Result<ConnectionId, CallError> {
    patiently(&*api.clock, async || {
        once(api, provider, coach, account).await
    })
    .await
}

async fn once(
    api: &Api,
    provider: ProviderKind,
    coach: CoachId,
    account: &str,
) -> Result<ConnectionId, CallError> {
    let what = "begin to connect";
    let begin = api
        .http
        .get(api.url(&format!("connect/{provider}/{coach}")))
        .bearer_auth(api.coach_token(coach, TOKEN_TTL).expose_secret());
    let begun = accepted(what, send(what, begin).await?)?;
    let cookie = cookie(&begun.headers);
    let begun: Begun = serde_json::from_slice(&begun.body).map_err(|_| strange(what))?;

    let what = "consent at the provider";
    let consent = api
        .http
        .post(begun.authorization_url)
        .form(&[("account", account), ("decision", "allow")]);
    let consented = send(what, consent).await?;
    let callback = location(&consented.headers).ok_or_else(|| strange(what))?;

    let what = "come back from the provider";
    let back = api.http.get(callback).header(COOKIE, cookie);
    let connected = send(what, back).await?;
    let end = location(&connected.headers).ok_or_else(|| strange(what))?;
    outcome(what, &end)
}

/// The connection that the return address names, or the code of what went wrong.
fn outcome(what: &str, end: &Url) -> Result<ConnectionId, CallError> {
    let of = |name: &str| {
        end.query_pairs()
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    if let Some(code) = of("error") {
        return Err(CallError::Refused {
            what: what.to_owned(),
            status: 303,
            code: format!(" ({code})"),
        });
    }
    of("connection_id")
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| strange(what))
}

fn location(headers: &HeaderMap) -> Option<Url> {
    Url::parse(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// What a browser sends back: names and values without attributes.
fn cookie(headers: &HeaderMap) -> String {
    let pairs: Vec<&str> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next())
        .collect();
    pairs.join("; ")
}

fn strange(what: &str) -> CallError {
    CallError::Strange {
        what: what.to_owned(),
    }
}
