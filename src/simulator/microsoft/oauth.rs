//! Microsoft's token endpoint.

use serde_json::{Value, json};

use crate::domain::{ProviderKind, Timestamp};
use crate::simulator::account::AccountKey;
use crate::simulator::message::{Call, Reply, first};
use crate::simulator::oauth::{Refusal, TokenRequest, id_token};
use crate::simulator::random;
use crate::simulator::tokens::Grant;
use crate::simulator::world::World;

const GRAPH: &str = "https://graph.microsoft.com/";
/// Scopes of the protocol itself, which belong to no resource.
const PROTOCOL: [&str; 4] = ["openid", "profile", "email", "offline_access"];
const RESOURCE: [&str; 6] = [
    "User.Read",
    "Calendars.Read",
    "Calendars.ReadWrite",
    "Calendars.Read.Shared",
    "Calendars.ReadWrite.Shared",
    "MailboxSettings.Read",
];

/// A scope under its short name and in its usual spelling; both come in any case.
fn canonical(scope: &str) -> Option<&'static str> {
    let short = match scope.get(..GRAPH.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(GRAPH) => scope.get(GRAPH.len()..)?,
        _ => scope,
    };
    PROTOCOL
        .into_iter()
        .chain(RESOURCE)
        .find(|known| known.eq_ignore_ascii_case(short))
}

pub(crate) fn is_scope(scope: &str) -> bool {
    canonical(scope).is_some()
}

/// Whether a grant holds one of these scopes.
pub(super) fn covers(grant: &Grant, any_of: &[&str]) -> bool {
    grant
        .scopes
        .iter()
        .filter_map(|scope| canonical(scope))
        .any(|scope| any_of.contains(&scope))
}

pub(super) fn token(world: &mut World, call: &Call) -> Reply {
    match exchange(world, call) {
        Ok(body) => Reply::json(200, &body).with("cache-control", "no-store"),
        Err(refusal) => refuse(world, call, refusal),
    }
}

fn exchange(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let config = world.config.clone();
    let request = TokenRequest::read(call, &config.microsoft_clients)?;
    match request.field("grant_type")? {
        "authorization_code" => {
            let code = request.redeem(world, call)?;
            if code.grant.account.provider != ProviderKind::Outlook {
                return Err(Refusal::Code);
            }
            let scopes = asked_scopes(&request, &code.grant)?;
            Ok(answer(
                world,
                call,
                &code.grant,
                &scopes,
                code.nonce.as_deref(),
            ))
        }
        "refresh_token" => {
            let token = request.field("refresh_token")?;
            let idle = chrono::TimeDelta::from_std(config.limits.microsoft_refresh_idle)
                .unwrap_or(chrono::TimeDelta::MAX);
            let grant = world
                .tokens
                .use_refresh(token, &request.client_id, idle, call.at.now)
                .ok_or(Refusal::RefreshToken)?;
            let scopes = asked_scopes(&request, &grant)?;
            if config.limits.microsoft_strict_rotation {
                world.tokens.drop_refresh(token);
            }
            Ok(answer(world, call, &grant, &scopes, None))
        }
        _ => Err(Refusal::GrantType),
    }
}

/// The scopes of a token request: all that were consented to, or the named ones among them.
fn asked_scopes(request: &TokenRequest, grant: &Grant) -> Result<Vec<&'static str>, Refusal> {
    let consented: Vec<&'static str> = grant.scopes.iter().filter_map(|s| canonical(s)).collect();
    let Some(asked) = first(&request.form, "scope") else {
        return Ok(consented);
    };
    asked
        .split_whitespace()
        .map(|scope| canonical(scope).filter(|scope| consented.contains(scope)))
        .collect::<Option<Vec<_>>>()
        .filter(|scopes| !scopes.is_empty())
        .ok_or(Refusal::Scope)
}

/// Tokens for these scopes. The refresh token stays good for everything consented to.
fn answer(
    world: &mut World,
    call: &Call,
    grant: &Grant,
    scopes: &[&'static str],
    nonce: Option<&str>,
) -> Value {
    let limits = &world.config.limits;
    let (most, qualified) = (
        limits.refresh_tokens_per_account,
        limits.microsoft_qualified_scopes,
    );
    let expires_at = world.expiry(call.at.now);
    let entropy = world.entropy.clone();
    let narrowed = Grant {
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..grant.clone()
    };
    let token = world
        .tokens
        .issue_access(narrowed, expires_at, call.at.now, entropy.as_ref());
    let mut body = json!({
        "token_type": "Bearer",
        "scope": answered_scopes(scopes, qualified),
        "expires_in": (expires_at - call.at.now).num_seconds(),
        "ext_expires_in": (expires_at - call.at.now).num_seconds(),
        "access_token": token,
    });
    if scopes.contains(&"offline_access") {
        body["refresh_token"] = world
            .tokens
            .issue_refresh(grant.clone(), most, call.at.now, entropy.as_ref())
            .into();
    }
    if scopes.contains(&"openid") {
        body["id_token"] = identity(world, grant, (call.at.now, expires_at), nonce).into();
    }
    body
}

/// `offline_access` is not answered: it shows in the refresh token.
fn answered_scopes(scopes: &[&'static str], qualified: bool) -> String {
    let shown: Vec<String> = scopes
        .iter()
        .filter(|scope| **scope != "offline_access")
        .map(|scope| {
            if qualified && RESOURCE.contains(scope) {
                format!("{GRAPH}{scope}")
            } else {
                (*scope).to_owned()
            }
        })
        .collect();
    shown.join(" ")
}

fn identity(
    world: &World,
    grant: &Grant,
    (now, expires_at): (Timestamp, Timestamp),
    nonce: Option<&str>,
) -> String {
    let id = world.accounts.get(&grant.account).map(|state| &state.id);
    let claims = json!({
        "iss": "https://login.microsoftonline.com/simulated/v2.0",
        "aud": grant.client_id,
        "sub": id,
        "oid": id,
        "preferred_username": grant.account.email,
        "nonce": nonce,
        "iat": now.timestamp(),
        "exp": expires_at.timestamp(),
    });
    id_token(world, &claims)
}

/// The account a token request is about.
pub(super) fn requesting_account(world: &World, call: &Call) -> Option<AccountKey> {
    let form = call.form();
    match first(&form, "refresh_token") {
        Some(token) => Some(world.tokens.refresh(token)?.grant.account.clone()),
        None => Some(
            world
                .tokens
                .code(first(&form, "code")?)?
                .grant
                .account
                .clone(),
        ),
    }
}

fn refuse(world: &World, call: &Call, refusal: Refusal) -> Reply {
    let (status, error, number, text) = match refusal {
        Refusal::Client => (
            401,
            "invalid_client",
            7_000_215,
            "Invalid client secret provided.",
        ),
        Refusal::Request => (
            400,
            "invalid_request",
            900_144,
            "The request body lacks a parameter.",
        ),
        Refusal::GrantType => (
            400,
            "unsupported_grant_type",
            70_003,
            "Unsupported grant type.",
        ),
        Refusal::Code => (400, "invalid_grant", 70_000, "The code is not valid."),
        Refusal::CodeUsed => (
            400,
            "invalid_grant",
            54_005,
            "The code was already redeemed.",
        ),
        Refusal::Verifier => (
            400,
            "invalid_grant",
            501_481,
            "The code verifier does not match.",
        ),
        Refusal::RefreshToken => (
            400,
            "invalid_grant",
            70_008,
            "The refresh token has expired.",
        ),
        Refusal::Scope => (400, "invalid_scope", 70_011, "The scope is not valid."),
    };
    let date = call.at.now.format("%Y-%m-%d %H:%M:%SZ");
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: {text}"),
        "error_codes": [number],
        "timestamp": date.to_string(),
        "trace_id": random::uuid(world.entropy.as_ref()),
        "correlation_id": random::uuid(world.entropy.as_ref()),
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    });
    Reply::json(status, &body)
}

/// The usual error of the token endpoint with this status, for scripted faults.
pub(super) fn scripted(status: u16, code: Option<&str>) -> Reply {
    let usual = match status {
        400 => "invalid_grant",
        401 => "invalid_client",
        429 | 503 => "temporarily_unavailable",
        _ => "server_error",
    };
    let body = json!({
        "error": code.unwrap_or(usual),
        "error_description": "A scripted fault.",
        "error_codes": [],
    });
    Reply::json(status, &body)
}
