//! The simulated Microsoft: sign-in, Graph v1.0 calendars and events, `$batch`.
//!
//! Behaves as Microsoft's documents and field reports say, strictly. Not simulated: delta queries,
//! subscriptions, recurrence, free/busy, and filters other than on extended properties.

mod batch;
mod body;
pub(super) mod by_hand;
mod calendars;
mod error;
mod event;
mod events;
mod fields;
mod list;
mod mailing;
pub(super) mod oauth;
mod preferences;
mod properties;
mod query;
mod zone;

use poem::http::Method;

use crate::domain::ProviderKind;

use super::account::AccountKey;
use super::consent;
use super::faults::FaultEffect;
use super::ledger::CallKind;
use super::message::{Call, Reply};
use super::tokens::Grant;
use super::world::World;

use error::Problem;
use preferences::Preferences;
use query::Query;

/// What a path names.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Authorize,
    Token,
    Me,
    Calendars,
    /// Without an id the default one.
    Calendar(Option<String>),
    /// Events of one calendar, or of the default one.
    Events(Option<String>),
    /// An event, wherever in the mailbox it is.
    Event(String),
    Batch,
}

impl Target {
    /// Whether it counts against the limits of the mailbox.
    pub(super) fn is_mailbox_call(&self) -> bool {
        match self {
            Self::Authorize | Self::Token | Self::Me => false,
            Self::Calendars
            | Self::Calendar(_)
            | Self::Events(_)
            | Self::Event(_)
            | Self::Batch => true,
        }
    }
}

/// Below this path everything of Microsoft lies.
pub(super) const BASE: &str = "/microsoft";

/// Below this path, within [`BASE`], lies Graph.
const GRAPH: &str = "/microsoft/graph/v1.0";

/// What a call names and asks for; `None` if there is no such thing.
pub(super) fn route(call: &Call, base: &str) -> Option<(CallKind, Target)> {
    let segments = call.segments(base)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = &call.method;
    let (get, post) = (method == Method::GET, method == Method::POST);
    Some(match segments.as_slice() {
        ["login", _, "oauth2", "v2.0", "authorize"] if get || post => {
            (CallKind::Authorize, Target::Authorize)
        }
        ["login", _, "oauth2", "v2.0", "token"] if post => {
            let form = call.form();
            let refresh = super::message::first(&form, "grant_type") == Some("refresh_token");
            let kind = if refresh {
                CallKind::Refresh
            } else {
                CallKind::TokenExchange
            };
            (kind, Target::Token)
        }
        ["graph", "v1.0", "$batch"] if post => (CallKind::Batch, Target::Batch),
        ["graph", "v1.0", rest @ ..] => graph_route(method, rest)?,
        _ => return None,
    })
}

fn graph_route(method: &Method, path: &[&str]) -> Option<(CallKind, Target)> {
    let event = |kind, id: &str| (kind, Target::Event(id.to_owned()));
    let of = |id: &str| Some(id.to_owned());
    Some(match (method.as_str(), path) {
        ("GET", ["me"]) => (CallKind::Userinfo, Target::Me),
        ("GET", ["me", "calendars"]) => (CallKind::Calendars, Target::Calendars),
        ("GET", ["me", "calendar"]) => (CallKind::Calendars, Target::Calendar(None)),
        ("GET", ["me", "calendars", id]) => (CallKind::Calendars, Target::Calendar(of(id))),
        ("GET", ["me", "events"] | ["me", "calendar", "events"]) => {
            (CallKind::List, Target::Events(None))
        }
        ("GET", ["me", "calendars", id, "events"]) => (CallKind::List, Target::Events(of(id))),
        ("POST", ["me", "events"] | ["me", "calendar", "events"]) => {
            (CallKind::Create, Target::Events(None))
        }
        ("POST", ["me", "calendars", id, "events"]) => (CallKind::Create, Target::Events(of(id))),
        ("GET", ["me", "events", id]) => event(CallKind::Get, id),
        ("PATCH", ["me", "events", id]) => event(CallKind::Update, id),
        ("DELETE", ["me", "events", id]) => event(CallKind::Delete, id),
        _ => return None,
    })
}

/// Whose call it is, as far as its token or code tells.
pub(super) fn account(world: &World, call: &Call, target: &Target) -> Option<AccountKey> {
    match target {
        Target::Authorize => None,
        Target::Token => oauth::requesting_account(world, call),
        Target::Me
        | Target::Calendars
        | Target::Calendar(_)
        | Target::Events(_)
        | Target::Event(_)
        | Target::Batch => grant(world, call).ok().map(|grant| grant.account),
    }
}

/// Carries out a call.
pub(super) fn perform(
    world: &mut World,
    call: &Call,
    kind: CallKind,
    target: &Target,
    fault: Option<&FaultEffect>,
) -> Reply {
    let outcome = match target {
        Target::Authorize => return consent::answer(world, call, ProviderKind::Outlook),
        Target::Token => return oauth::token(world, call),
        Target::Batch => batch::perform(world, call, fault),
        Target::Me
        | Target::Calendars
        | Target::Calendar(_)
        | Target::Events(_)
        | Target::Event(_) => api(world, call, kind, target),
    };
    let reply = outcome.unwrap_or_else(|problem| problem.reply(world, call));
    error::stamp(reply, call, world)
}

/// The error a scripted status stands for.
pub(super) fn scripted(kind: CallKind, status: u16, code: Option<&str>) -> Reply {
    match kind {
        CallKind::Authorize | CallKind::TokenExchange | CallKind::Refresh | CallKind::Revoke => {
            oauth::scripted(status, code)
        }
        CallKind::Userinfo
        | CallKind::Calendars
        | CallKind::Get
        | CallKind::List
        | CallKind::Create
        | CallKind::Update
        | CallKind::Delete
        | CallKind::Batch => Problem::scripted(status, code).bare_reply(),
    }
}

/// The answer to one call more than may run at once.
pub(super) fn over_concurrency(world: &World, call: &Call) -> Reply {
    Problem::over_concurrency(&world.dice).reply(world, call)
}

fn api(world: &mut World, call: &Call, kind: CallKind, target: &Target) -> Result<Reply, Problem> {
    let grant = grant(world, call)?;
    let account = &grant.account;
    check_scope(&grant, kind, target)?;
    if target.is_mailbox_call() {
        charge(world, call, account)?;
    }
    let preferences = Preferences::read(call)?;
    let query = Query::read(call, kind)?;
    let reply = match target {
        Target::Me => calendars::me(world, account),
        Target::Calendars => calendars::list(world, call, account, &query),
        Target::Calendar(id) => calendars::get(world, account, id.as_deref()),
        Target::Events(id) if kind == CallKind::List => {
            list::list(world, call, (account, id.as_deref()), &query, &preferences)
        }
        Target::Events(id) => events::create(world, call, (account, id.as_deref()), &preferences),
        Target::Event(id) => {
            events::on_event(world, call, kind, (account, id), (&query, &preferences))
        }
        Target::Authorize | Target::Token | Target::Batch => Err(Problem::no_such_segment()),
    }?;
    Ok(preferences.note_applied(reply))
}

/// The grant behind the bearer token of a call.
fn grant(world: &World, call: &Call) -> Result<Grant, Problem> {
    call.bearer()
        .and_then(|token| world.tokens.access(token, call.at.now))
        .filter(|grant| grant.account.provider == ProviderKind::Outlook)
        .cloned()
        .ok_or_else(Problem::unauthorized)
}

fn check_scope(grant: &Grant, kind: CallKind, target: &Target) -> Result<(), Problem> {
    let write = &["Calendars.ReadWrite"][..];
    let read = &["Calendars.ReadWrite", "Calendars.Read"][..];
    let needed = match (kind, target) {
        (_, Target::Me) => &["User.Read"][..],
        (CallKind::Create | CallKind::Update | CallKind::Delete, _) => write,
        _ => read,
    };
    if oauth::covers(grant, needed) {
        return Ok(());
    }
    let code = if kind == CallKind::Userinfo {
        "Authorization_RequestDenied"
    } else {
        "ErrorAccessDenied"
    };
    Err(Problem::new(
        403,
        code,
        "Access is denied. Check credentials and try again.",
    ))
}

/// Counts the call. Calls made while throttled count too, so hammering never gets through.
fn charge(world: &mut World, call: &Call, account: &AccountKey) -> Result<(), Problem> {
    let window = world.config.limits.microsoft_per_mailbox;
    let state = world
        .accounts
        .get_mut(account)
        .ok_or_else(Problem::unauthorized)?;
    let wait = state.used.wait(window, call.at.elapsed, 1);
    state.used.take(window, call.at.elapsed, 1);
    if wait.is_zero() {
        Ok(())
    } else {
        let mut problem = Problem::new(429, "TooManyRequests", "Too many requests.");
        problem.retry_after = Some(format!("{:.3}", wait.as_secs_f64()));
        Err(problem)
    }
}
