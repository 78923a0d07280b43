//! The simulated Google: sign-in, Calendar API v3, batch.
//!
//! Behaves as Google's documents and field reports say, strictly: what they call an error is
//! refused here even where the real service might let it pass. Not simulated: incremental sync,
//! push channels, recurrence, free/busy, and `fields` (accepted, but the answer stays whole).

mod batch;
pub(super) mod by_hand;
mod calendars;
mod conference;
mod error;
mod event;
mod events;
mod fields;
mod list;
pub(super) mod oauth;

use poem::http::Method;

use crate::domain::ProviderKind;

use super::account::AccountKey;
use super::consent;
use super::faults::batch::BatchFault;
use super::faults::{FaultEffect, batch::PartFault};
use super::ledger::{CallKind, SeenCall};
use super::message::{Call, Reply};
use super::tokens::Grant;
use super::world::World;

use error::Problem;

/// What a path names.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Authorize,
    Token,
    Revoke,
    Userinfo,
    CalendarList,
    /// A calendar as it stands in the account's list: the only reading that tells the access role.
    CalendarListEntry(String),
    Calendar(String),
    Events(String),
    Event(String, String),
    Batch,
}

/// Below this path everything of Google lies.
pub(super) const BASE: &str = "/google";

/// What a call names and asks for; `None` if there is no such thing.
pub(super) fn route(call: &Call, base: &str) -> Option<(CallKind, Target)> {
    let segments = call.segments(base)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let get = call.method == Method::GET;
    let post = call.method == Method::POST;
    Some(match segments.as_slice() {
        ["o", "oauth2", "v2", "auth"] if get || post => (CallKind::Authorize, Target::Authorize),
        ["token"] if post => {
            let form = call.form();
            let refresh = super::message::first(&form, "grant_type") == Some("refresh_token");
            let kind = if refresh {
                CallKind::Refresh
            } else {
                CallKind::TokenExchange
            };
            (kind, Target::Token)
        }
        ["revoke"] if post => (CallKind::Revoke, Target::Revoke),
        ["oauth2", "v2", "userinfo"] if get => (CallKind::Userinfo, Target::Userinfo),
        ["batch", "calendar", "v3"] if post => (CallKind::Batch, Target::Batch),
        ["calendar", "v3", rest @ ..] => calendar_route(&call.method, rest)?,
        _ => return None,
    })
}

fn calendar_route(method: &Method, rest: &[&str]) -> Option<(CallKind, Target)> {
    let of = |text: &str| text.to_owned();
    Some(match (method.as_str(), rest) {
        ("GET", ["users", "me", "calendarList"]) => (CallKind::Calendars, Target::CalendarList),
        ("GET", ["users", "me", "calendarList", id]) => {
            (CallKind::Calendars, Target::CalendarListEntry(of(id)))
        }
        ("GET", ["calendars", id]) => (CallKind::Calendars, Target::Calendar(of(id))),
        ("GET", ["calendars", id, "events"]) => (CallKind::List, Target::Events(of(id))),
        ("POST", ["calendars", id, "events"]) => (CallKind::Create, Target::Events(of(id))),
        ("GET", ["calendars", id, "events", event]) => {
            (CallKind::Get, Target::Event(of(id), of(event)))
        }
        ("PATCH" | "PUT", ["calendars", id, "events", event]) => {
            (CallKind::Update, Target::Event(of(id), of(event)))
        }
        ("DELETE", ["calendars", id, "events", event]) => {
            (CallKind::Delete, Target::Event(of(id), of(event)))
        }
        _ => return None,
    })
}

/// Whose call it is, as far as its token or code tells.
pub(super) fn account(world: &World, call: &Call, target: &Target) -> Option<AccountKey> {
    match target {
        Target::Authorize => None,
        Target::Token => oauth::requesting_account(world, call),
        Target::Revoke => oauth::revoked_account(world, call),
        Target::Userinfo
        | Target::CalendarList
        | Target::CalendarListEntry(_)
        | Target::Calendar(_)
        | Target::Events(_)
        | Target::Event(..)
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
    match target {
        Target::Authorize => consent::answer(world, call, ProviderKind::Google),
        Target::Token => oauth::token(world, call),
        Target::Revoke => oauth::revoke(world, call),
        Target::Userinfo => oauth::userinfo(world, call),
        Target::Batch => batch::perform(world, call, fault),
        Target::CalendarList
        | Target::CalendarListEntry(_)
        | Target::Calendar(_)
        | Target::Events(_)
        | Target::Event(..) => api(world, call, kind, target).unwrap_or_else(Reply::from),
    }
}

/// The error a scripted status stands for.
pub(super) fn scripted(kind: CallKind, status: u16, code: Option<&str>) -> Reply {
    match kind {
        CallKind::Authorize | CallKind::TokenExchange | CallKind::Refresh | CallKind::Revoke => {
            error::scripted_oauth(status, code)
        }
        CallKind::Userinfo
        | CallKind::Calendars
        | CallKind::Get
        | CallKind::List
        | CallKind::Create
        | CallKind::Update
        | CallKind::Delete
        | CallKind::Batch => Problem::scripted(status, code).into(),
    }
}

fn api(world: &mut World, call: &Call, kind: CallKind, target: &Target) -> Result<Reply, Problem> {
    let grant = grant(world, call)?;
    if !oauth::covers(&grant, scopes(kind, target)) {
        return Err(Problem::insufficient_scope());
    }
    charge(world, call, &grant.account)?;
    check_query(call, kind, target)?;
    match target {
        Target::CalendarList => calendars::list(world, call, &grant.account),
        Target::CalendarListEntry(id) => calendars::entry_of(world, &grant.account, id),
        Target::Calendar(id) => calendars::get(world, &grant.account, id),
        Target::Events(calendar) if kind == CallKind::List => {
            list::list(world, call, &grant.account, calendar)
        }
        Target::Events(calendar) => events::insert(world, call, &grant.account, calendar),
        Target::Event(calendar, id) => {
            events::on_event(world, call, kind, &grant.account, (calendar, id))
        }
        Target::Authorize | Target::Token | Target::Revoke | Target::Userinfo | Target::Batch => {
            Err(Problem::not_found())
        }
    }
}

/// The grant behind the bearer token of a call.
fn grant(world: &World, call: &Call) -> Result<Grant, Problem> {
    call.bearer()
        .and_then(|token| world.tokens.access(token, call.at.now))
        .filter(|grant| grant.account.provider == ProviderKind::Google)
        .cloned()
        .ok_or_else(Problem::unauthorized)
}

/// Scopes of which one is enough, from the `scopes` of each method in the discovery document.
fn scopes(kind: CallKind, target: &Target) -> &'static [&'static str] {
    match (kind, target) {
        (_, Target::CalendarList | Target::CalendarListEntry(_)) => &[
            "calendar",
            "calendar.calendarlist",
            "calendar.calendarlist.readonly",
            "calendar.readonly",
        ],
        (_, Target::Calendar(_)) => &[
            "calendar",
            "calendar.app.created",
            "calendar.calendars",
            "calendar.calendars.readonly",
            "calendar.readonly",
        ],
        (CallKind::Get | CallKind::List, _) => &[
            "calendar",
            "calendar.events",
            "calendar.events.freebusy",
            "calendar.events.owned",
            "calendar.events.owned.readonly",
            "calendar.events.readonly",
            "calendar.readonly",
        ],
        _ => &["calendar", "calendar.events", "calendar.events.owned"],
    }
}

/// Takes the call's quota units, or refuses in one of the two ways that both occur.
fn charge(world: &mut World, call: &Call, account: &AccountKey) -> Result<(), Problem> {
    let units = if call.method == Method::PATCH { 3 } else { 1 };
    let limits = &world.config.limits;
    let (user, project) = (limits.google_per_user, limits.google_per_project);
    let Some(state) = world.accounts.get_mut(account) else {
        return Err(Problem::unauthorized());
    };
    let now = call.at.elapsed;
    let user_wait = state.used.wait(user, now, units);
    let project_wait = world.google_project.wait(project, now, units);
    let wait = user_wait.max(project_wait);
    if wait.is_zero() {
        state.used.take(user, now, units);
        world.google_project.take(project, now, units);
        return Ok(());
    }
    let (status, reason) = match (world.dice.coin(), user_wait.is_zero()) {
        (true, _) => (429, "rateLimitExceeded"),
        (false, true) => (403, "rateLimitExceeded"),
        (false, false) => (403, "userRateLimitExceeded"),
    };
    let mut problem = Problem::new(status, reason, "Rate Limit Exceeded");
    if world.dice.coin() {
        problem.retry_after = Some(wait.as_secs().saturating_add(1).to_string());
    }
    Err(problem)
}

const COMMON: &[&str] = &[
    "alt",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "userIp",
];
const MODIFYING: &[&str] = &[
    "alwaysIncludeEmail",
    "conferenceDataVersion",
    "eventLabelVersion",
    "maxAttendees",
    "sendNotifications",
    "sendUpdates",
    "supportsAttachments",
];

/// Refuses parameters the method does not have, and values outside the documented ones.
fn check_query(call: &Call, kind: CallKind, target: &Target) -> Result<(), Problem> {
    let known: &[&str] = match (kind, target) {
        (_, Target::CalendarList | Target::CalendarListEntry(_)) => &[
            "maxResults",
            "minAccessRole",
            "pageToken",
            "showDeleted",
            "showHidden",
            "showOwnOrganizationOnly",
        ],
        (CallKind::List, _) => list::PARAMETERS,
        (CallKind::Get, _) => &["alwaysIncludeEmail", "maxAttendees", "timeZone"],
        (CallKind::Create | CallKind::Update, _) => MODIFYING,
        (CallKind::Delete, _) => &["sendNotifications", "sendUpdates"],
        _ => &[],
    };
    for (name, value) in &call.query {
        let allowed = match name.as_str() {
            "sendUpdates" => ["all", "externalOnly", "none"].contains(&value.as_str()),
            "conferenceDataVersion" | "eventLabelVersion" => ["0", "1"].contains(&value.as_str()),
            _ => true,
        };
        if !allowed {
            return Err(Problem::invalid(format!("Invalid value for {name}.")));
        }
        if !known.contains(&name.as_str()) && !COMMON.contains(&name.as_str()) {
            return Err(Problem::new(
                400,
                "badRequest",
                format!("Unknown name \"{name}\": cannot bind query parameter."),
            ));
        }
    }
    Ok(())
}

/// Carries out one part of a batch, fault included.
fn perform_part(world: &mut World, part: &Call, faults: &BatchFault, position: usize) -> Reply {
    if faults.skips(position) {
        return Problem::scripted(503, None).into();
    }
    // Only the calendar API itself can be reached through its batch.
    let routed = route(part, "").filter(|(_, target)| {
        matches!(
            target,
            Target::CalendarList
                | Target::CalendarListEntry(_)
                | Target::Calendar(_)
                | Target::Events(_)
                | Target::Event(..)
        )
    });
    let Some((kind, target)) = routed else {
        return Problem::not_found().into();
    };
    let whose = account(world, part, &target);
    let fault = world
        .draw_fault(ProviderKind::Google, kind, whose.as_ref(), part)
        .map(PartFault::from);
    let reply = match fault {
        Some(PartFault::Instead(status, code, retry_after)) => {
            let mut problem = Problem::scripted(status, code.as_deref());
            problem.retry_after = retry_after;
            problem.into()
        }
        Some(PartFault::AnswerUnavailable) => {
            perform(world, part, kind, &target, None);
            Problem::scripted(503, None).into()
        }
        Some(PartFault::AnswerHollow) => {
            let reply = perform(world, part, kind, &target, None);
            reply.with_body(b"{}".to_vec())
        }
        None => perform(world, part, kind, &target, None),
    };
    world.ledger.count_call(SeenCall::new(
        part.at,
        ProviderKind::Google,
        kind,
        whose.as_ref(),
        reply.status,
    ));
    reply
}
