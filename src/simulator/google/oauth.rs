//! Google's token, revocation and userinfo endpoints.

use serde_json::{Value, json};

use crate::domain::ProviderKind;
use crate::simulator::account::AccountKey;
use crate::simulator::message::{Call, Reply};
use crate::simulator::oauth::{Refusal, TokenRequest, id_token};
use crate::simulator::tokens::Grant;
use crate::simulator::world::World;

use super::error::{self, Problem};

pub(crate) const ISSUER: &str = "https://accounts.google.com";
const PREFIX: &str = "https://www.googleapis.com/auth/";
const SIGN_IN: [&str; 5] = [
    "openid",
    "email",
    "profile",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];
const CALENDAR: [&str; 13] = [
    "calendar",
    "calendar.readonly",
    "calendar.app.created",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
    "calendar.calendars",
    "calendar.calendars.readonly",
    "calendar.events",
    "calendar.events.freebusy",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
    "calendar.events.readonly",
    "calendar.freebusy",
];

pub(crate) fn is_scope(scope: &str) -> bool {
    is_sign_in_scope(scope)
        || scope
            .strip_prefix(PREFIX)
            .is_some_and(|suffix| CALENDAR.contains(&suffix))
}

pub(crate) fn is_sign_in_scope(scope: &str) -> bool {
    SIGN_IN.contains(&scope)
}

/// Whether a grant holds one of these calendar scopes, named without their common prefix.
pub(super) fn covers(grant: &Grant, any_of: &[&str]) -> bool {
    grant.scopes.iter().any(|scope| {
        scope
            .strip_prefix(PREFIX)
            .is_some_and(|suffix| any_of.contains(&suffix))
    })
}

/// The scopes as answered: `email` and `profile` come back under their long names.
fn answered_scopes(grant: &Grant) -> String {
    let long: Vec<String> = grant
        .scopes
        .iter()
        .map(|scope| match scope.as_str() {
            "email" | "profile" => format!("{PREFIX}userinfo.{scope}"),
            other => other.to_owned(),
        })
        .collect();
    long.join(" ")
}

pub(super) fn token(world: &mut World, call: &Call) -> Reply {
    match exchange(world, call) {
        Ok(body) => Reply::json(200, &body).with("cache-control", "no-store"),
        Err(refusal) => refuse(refusal),
    }
}

fn exchange(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let config = world.config.clone();
    let request = TokenRequest::read(call, &config.google_clients)?;
    match request.field("grant_type")? {
        "authorization_code" => {
            let code = request.redeem(world, call)?;
            // A Microsoft code is no code here.
            if code.grant.account.provider != ProviderKind::Google {
                return Err(Refusal::Code);
            }
            let mut body = access(world, call, &code.grant, code.nonce.as_deref());
            if code.wants_refresh_token {
                let most = config.limits.refresh_tokens_per_account;
                let entropy = world.entropy.clone();
                body["refresh_token"] = world
                    .tokens
                    .issue_refresh(code.grant, most, call.at.now, entropy.as_ref())
                    .into();
            }
            Ok(body)
        }
        "refresh_token" => {
            let idle = chrono::TimeDelta::from_std(config.limits.google_refresh_idle)
                .unwrap_or(chrono::TimeDelta::MAX);
            let grant = world
                .tokens
                .use_refresh(
                    request.field("refresh_token")?,
                    &request.client_id,
                    idle,
                    call.at.now,
                )
                .ok_or(Refusal::RefreshToken)?;
            Ok(access(world, call, &grant, None))
        }
        _ => Err(Refusal::GrantType),
    }
}

fn access(world: &mut World, call: &Call, grant: &Grant, nonce: Option<&str>) -> Value {
    let expires_at = world.expiry(call.at.now);
    let entropy = world.entropy.clone();
    let token = world
        .tokens
        .issue_access(grant.clone(), expires_at, call.at.now, entropy.as_ref());
    let mut body = json!({
        "access_token": token,
        "expires_in": (expires_at - call.at.now).num_seconds(),
        "scope": answered_scopes(grant),
        "token_type": "Bearer",
    });
    if grant.scopes.iter().any(|scope| scope == "openid")
        && let Some(account) = world.accounts.get(&grant.account)
    {
        let claims = json!({
            "iss": ISSUER,
            "aud": grant.client_id,
            "azp": grant.client_id,
            "sub": account.id,
            "email": account.email,
            "email_verified": true,
            "nonce": nonce,
            "iat": call.at.now.timestamp(),
            "exp": expires_at.timestamp(),
        });
        body["id_token"] = id_token(world, &claims).into();
    }
    body
}

fn refuse(refusal: Refusal) -> Reply {
    let (status, code, text) = match refusal {
        Refusal::Client => (401, "invalid_client", "The OAuth client was not found."),
        Refusal::Request => (400, "invalid_request", "Missing required parameter."),
        Refusal::GrantType => (400, "unsupported_grant_type", "Invalid grant_type."),
        Refusal::Code | Refusal::CodeUsed => (400, "invalid_grant", "Malformed auth code."),
        Refusal::Verifier => (400, "invalid_grant", "Invalid code verifier."),
        Refusal::RefreshToken => {
            let text = "Token has been expired or revoked.";
            (400, "invalid_grant", text)
        }
        Refusal::Scope => (400, "invalid_scope", "Some requested scopes were invalid."),
    };
    error::oauth(status, code, text)
}

/// Ends the whole grant of the account, whichever of its tokens is named.
pub(super) fn revoke(world: &mut World, call: &Call) -> Reply {
    match revoked_account(world, call) {
        Some(account) => {
            world.tokens.revoke(&account);
            Reply::json(200, &json!({}))
        }
        None => error::oauth(400, "invalid_token", "Token expired or revoked"),
    }
}

pub(super) fn revoked_account(world: &World, call: &Call) -> Option<AccountKey> {
    let form = call.form();
    let token = crate::simulator::message::first(&form, "token").or_else(|| call.param("token"))?;
    let account = match world.tokens.refresh(token) {
        Some(refresh) => &refresh.grant.account,
        None => &world.tokens.access(token, call.at.now)?.account,
    };
    (account.provider == ProviderKind::Google).then(|| account.clone())
}

/// The account a token request is about.
pub(super) fn requesting_account(world: &World, call: &Call) -> Option<AccountKey> {
    let form = call.form();
    let field = |name| crate::simulator::message::first(&form, name);
    match field("refresh_token") {
        Some(token) => Some(world.tokens.refresh(token)?.grant.account.clone()),
        None => Some(world.tokens.code(field("code")?)?.grant.account.clone()),
    }
}

/// The userinfo of API version 2: `id`, `email`, `verified_email`.
pub(super) fn userinfo(world: &World, call: &Call) -> Reply {
    let grant = match super::grant(world, call) {
        Ok(grant) => grant,
        Err(problem) => return problem.into(),
    };
    let has = |names: &[&str]| grant.scopes.iter().any(|s| names.contains(&s.as_str()));
    let Some(account) = world.accounts.get(&grant.account) else {
        return Problem::unauthorized().into();
    };
    if !has(&SIGN_IN) {
        return Problem::insufficient_scope().into();
    }
    let mut body = json!({"id": account.id});
    if has(&["email", SIGN_IN[3]]) {
        body["email"] = account.email.clone().into();
        body["verified_email"] = true.into();
    }
    Reply::json(200, &body)
}
