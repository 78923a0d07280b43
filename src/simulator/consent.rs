//! The sign-in page: who are you, and what may the application do?
//!
//! One page for both providers. A GET of the authorization address shows it; a POST to the *same*
//! address, query included, answers it with these form fields:
//!
//! - `account`: an e-mail address. An account is created on its first consent.
//! - `decision`: `allow` or `deny`.
//! - `granular` = `1` and any number of `scope`: for Google, only these of the scopes asked for are
//!   granted beside the sign-in ones. Without `granular` everything asked for is granted.
//! - `time_zone`: the zone of a new account; optional.

use chrono_tz::Tz;
use url::Url;

use crate::domain::{ProviderKind, is_email};

use super::account::AccountKey;
use super::message::{Call, Reply, first};
use super::page::{document, escape, problem};
use super::tokens::{Code, Grant};
use super::world::World;
use super::{google, microsoft};

/// An authorization request that passed the checks.
#[derive(Debug)]
struct Request {
    provider: ProviderKind,
    client_id: String,
    redirect_uri: Url,
    scopes: Vec<String>,
    state: String,
    challenge: Option<String>,
    nonce: Option<String>,
    login_hint: String,
}

/// Answers both the GET and the POST.
pub(super) fn answer(world: &mut World, call: &Call, provider: ProviderKind) -> Reply {
    let request = match check(world, call, provider) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    if call.method == poem::http::Method::POST {
        decide(world, call, &request)
    } else {
        Reply::html(200, form(world, &request))
    }
}

/// Without a known client and return address nobody is sent anywhere: the person sees a page.
fn check(world: &World, call: &Call, provider: ProviderKind) -> Result<Request, Reply> {
    let refuse = |title: &str, detail: &str| Err(Reply::html(400, problem(title, detail)));
    let clients = match provider {
        ProviderKind::Google => &world.config.google_clients,
        ProviderKind::Outlook => &world.config.microsoft_clients,
    };
    let client_id = call.param("client_id").unwrap_or_default();
    if !clients.iter().any(|client| client.id == client_id) {
        return refuse("invalid_client", "The OAuth client was not found.");
    }
    let Some(redirect_uri) = call
        .param("redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| is_registered(uri, &world.config.redirect_uris))
    else {
        return refuse(
            "redirect_uri_mismatch",
            "The return address is not registered.",
        );
    };
    let Some(state) = call.param("state").filter(|state| !state.is_empty()) else {
        return refuse("invalid_request", "The simulator insists on a state.");
    };
    let back = |error: &str| {
        let answer = [("error", error), ("state", state)];
        Err(Reply::redirect(&with_query(&redirect_uri, &answer)))
    };
    if call.param("response_type") != Some("code") {
        return back("unsupported_response_type");
    }
    if call
        .param("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return refuse("invalid_request", "Only response_mode=query is simulated.");
    }
    let scopes: Vec<String> = call
        .param("scope")
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let known = match provider {
        ProviderKind::Google => google::oauth::is_scope,
        ProviderKind::Outlook => microsoft::oauth::is_scope,
    };
    if scopes.is_empty() || !scopes.iter().all(|scope| known(scope)) {
        return back("invalid_scope");
    }
    let challenge = call.param("code_challenge").map(str::to_owned);
    let method = call.param("code_challenge_method");
    if challenge.is_some() && method != Some("S256") {
        return back("invalid_request");
    }
    if call.param("prompt") == Some("none") {
        return back("interaction_required");
    }
    Ok(Request {
        provider,
        client_id: client_id.to_owned(),
        redirect_uri,
        scopes,
        state: state.to_owned(),
        challenge,
        nonce: call.param("nonce").map(str::to_owned),
        login_hint: call.param("login_hint").unwrap_or_default().to_owned(),
    })
}

/// Plain HTTP on loopback is always allowed, everything else must be configured.
fn is_registered(uri: &Url, configured: &[Url]) -> bool {
    let loopback = match uri.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    (uri.scheme() == "http" && loopback) || configured.contains(uri)
}

fn with_query(uri: &Url, pairs: &[(&str, &str)]) -> String {
    let mut uri = uri.clone();
    uri.query_pairs_mut().extend_pairs(pairs);
    uri.into()
}

fn decide(world: &mut World, call: &Call, request: &Request) -> Reply {
    let form = call.form();
    let denied = || {
        let answer = [
            ("error", "access_denied"),
            ("state", request.state.as_str()),
        ];
        Reply::redirect(&with_query(&request.redirect_uri, &answer))
    };
    let email = first(&form, "account")
        .unwrap_or_default()
        .trim()
        .to_owned();
    if first(&form, "decision") != Some("allow") {
        return denied();
    }
    if !is_email(&email) {
        return Reply::html(400, problem("No such account", "Enter an e-mail address."));
    }
    let time_zone = first(&form, "time_zone").map_or(Ok(world.config.time_zone), str::parse::<Tz>);
    let Ok(time_zone) = time_zone else {
        return Reply::html(400, problem("No such time zone", "Enter an IANA name."));
    };
    let Some(scopes) = granted(&form, request) else {
        return denied();
    };
    let account = AccountKey::new(request.provider, &email);
    world
        .accounts
        .open(&account, time_zone, world.entropy.as_ref());
    let first_time = world.tokens.consent(&account, &request.client_id);
    let wants_refresh_token = match request.provider {
        ProviderKind::Google => {
            call.param("access_type") == Some("offline")
                && (first_time || call.param("prompt").is_some_and(|p| p.contains("consent")))
        }
        ProviderKind::Outlook => scopes.iter().any(|scope| scope == "offline_access"),
    };
    let scope_text = scopes.join(" ");
    let code = Code {
        grant: Grant {
            account,
            client_id: request.client_id.clone(),
            scopes,
        },
        redirect_uri: call.param("redirect_uri").unwrap_or_default().to_owned(),
        challenge: request.challenge.clone(),
        wants_refresh_token,
        nonce: request.nonce.clone(),
        expires_at: call.at.now + world.config.limits.code_lifetime,
        used: false,
        verifier: None,
    };
    let code = world
        .tokens
        .issue_code(code, call.at.now, world.entropy.as_ref());
    let mut answer = vec![("code", code.as_str()), ("state", request.state.as_str())];
    match request.provider {
        ProviderKind::Google => {
            answer.extend([("scope", &*scope_text), ("iss", google::oauth::ISSUER)]);
        }
        ProviderKind::Outlook => answer.push(("session_state", "simulated")),
    }
    Reply::redirect(&with_query(&request.redirect_uri, &answer))
}

/// What was granted of what was asked for; `None` if every box was left empty.
fn granted(form: &[(String, String)], request: &Request) -> Option<Vec<String>> {
    if request.provider == ProviderKind::Outlook || first(form, "granular").is_none() {
        return Some(request.scopes.clone());
    }
    let ticked = |scope: &String| {
        form.iter()
            .any(|(key, value)| key == "scope" && value == scope)
    };
    let (sign_in, others): (Vec<String>, Vec<String>) = request
        .scopes
        .iter()
        .cloned()
        .partition(|scope| google::oauth::is_sign_in_scope(scope));
    let kept: Vec<String> = others
        .iter()
        .filter(|scope| ticked(scope))
        .cloned()
        .collect();
    if kept.is_empty() && !others.is_empty() {
        return None;
    }
    Some(sign_in.into_iter().chain(kept).collect())
}

fn form(world: &World, request: &Request) -> String {
    let accounts: String = world
        .accounts
        .iter()
        .filter(|(key, _)| key.provider == request.provider)
        .map(|(key, _)| format!("<option value=\"{}\">", escape(&key.email)))
        .collect();
    let scopes: String = request
        .scopes
        .iter()
        .map(|scope| scope_line(request.provider, scope))
        .collect();
    let name = match request.provider {
        ProviderKind::Google => "Google",
        ProviderKind::Outlook => "Microsoft",
    };
    document(
        &format!("Sign in - simulated {name}"),
        &format!(
            "<main class=\"card\"><h1>Simulated {name}</h1>\
             <p><b>{client}</b> would like access to your account.</p>\
             <form method=\"post\"><label>Account\
             <input type=\"email\" name=\"account\" list=\"accounts\" required autofocus \
             placeholder=\"coach@example.com\" value=\"{hint}\"></label>\
             <datalist id=\"accounts\">{accounts}</datalist>\
             <input type=\"hidden\" name=\"granular\" value=\"1\">{scopes}\
             <div class=\"choices\">\
             <button name=\"decision\" value=\"deny\" formnovalidate>Deny</button>\
             <button class=\"main\" name=\"decision\" value=\"allow\">Allow</button></div></form>\
             <p class=\"soft\">No real account is involved. Any address will do.</p></main>",
            client = escape(&request.client_id),
            hint = escape(&request.login_hint),
        ),
    )
}

/// Google asks for each scope beyond signing in by itself, Microsoft for all at once.
fn scope_line(provider: ProviderKind, scope: &str) -> String {
    let text = escape(scope);
    match provider {
        ProviderKind::Google if !google::oauth::is_sign_in_scope(scope) => format!(
            "<label><input type=\"checkbox\" name=\"scope\" value=\"{text}\" checked> {text}</label>"
        ),
        ProviderKind::Google | ProviderKind::Outlook => format!("<p class=\"soft\">{text}</p>"),
    }
}
