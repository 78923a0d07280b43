//! The controls over HTTP, for harnesses in other processes. JSON in and out.
//!
//! | method and path | body or query | answer |
//! |---|---|---|
//! | GET `/control/state` | | accounts, calls, chaos rate, faults, totals |
//! | GET `/control/ledger` | `after`, `limit` (to 10,000) | effects, recorded, dropped |
//! | GET `/control/duplicates` | | duplicates |
//! | GET `/control/events` | `provider`, `account`, `calendar_id?` | live events |
//! | GET `/control/receipt` | `appointment_id` | `received_micros` or null |
//! | GET, POST, DELETE `/control/faults` | POST: a [`FaultRule`]; DELETE: `id?` | rules, or the new id |
//! | POST `/control/chaos` | `rate`, `seed` | |
//! | POST `/control/account` | `provider`, `account`, `time_zone` | |
//! | POST `/control/edit` | `provider`, `account`, `event`, `edit` | |
//! | POST `/control/writable` | `provider`, `account`, `calendar_id`, `writable` | |
//! | DELETE `/control/calendar` | `provider`, `account`, `calendar_id` (query) | |
//! | POST `/control/revoke`, `/control/expire` | `provider`, `account` | |
//! | POST `/control/reset` | | |
//!
//! A wrong body answers 400 with `error`, an unknown event or account 404.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use std::sync::Arc;

use crate::domain::ProviderKind;

use super::coach::{CoachEdit, EditError, EventSelector};
use super::faults::FaultRule;
use super::handle::SimulatorHandle;
use super::ledger::EffectKind;
use super::message::{Call, Reply};
use super::world::Shared;

pub(super) fn answer(shared: &Arc<Shared>, call: &Call) -> Reply {
    let handle = SimulatorHandle::new(shared.clone());
    let answered = match call.method.as_str() {
        "GET" => question(&handle, call),
        "POST" => order(&handle, call),
        "DELETE" => removal(&handle, call),
        _ => Err(Refusal::NoSuchThing),
    };
    match answered {
        Ok(body) => Reply::json(200, &body),
        Err(Refusal::NoSuchThing) => Reply::json(404, &json!({"error": "not found"})),
        Err(Refusal::Bad(error)) => Reply::json(400, &json!({"error": error})),
    }
}

enum Refusal {
    NoSuchThing,
    Bad(String),
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NoAccount | EditError::NoCalendar | EditError::NoEvent => Self::NoSuchThing,
            EditError::NoGuest | EditError::EmptyRange => Self::Bad(error.to_string()),
        }
    }
}

/// An account as named in a query or body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    provider: ProviderKind,
    account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    provider: ProviderKind,
    account: String,
    time_zone: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    provider: ProviderKind,
    account: String,
    event: EventSelector,
    edit: CoachEdit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Writable {
    provider: ProviderKind,
    account: String,
    calendar_id: String,
    writable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChaosOrder {
    rate: f64,
    #[serde(default)]
    seed: u64,
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    serde_json::from_slice(&call.body).map_err(|error| Refusal::Bad(error.to_string()))
}

fn whose(call: &Call) -> Result<Whose, Refusal> {
    let provider = call.param("provider").unwrap_or_default();
    Ok(Whose {
        provider: provider
            .parse()
            .map_err(|_| Refusal::Bad("unknown provider".to_owned()))?,
        account: call.param("account").unwrap_or_default().to_owned(),
    })
}

fn number<T: std::str::FromStr>(call: &Call, name: &str, usual: T) -> Result<T, Refusal> {
    match call.param(name) {
        None => Ok(usual),
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::Bad(format!("{name} is not a number"))),
    }
}

const LONGEST_PAGE: usize = 10_000;

fn question(handle: &SimulatorHandle, call: &Call) -> Result<Value, Refusal> {
    Ok(match call.path.as_str() {
        "/control/state" => json!({
            "accounts": handle.accounts(),
            "calls": handle.calls(),
            "chaos_rate": handle.chaos_rate(),
            "faults": handle.faults(),
            "totals": totals(handle),
        }),
        "/control/ledger" => {
            let limit = number(call, "limit", 1000)?.min(LONGEST_PAGE);
            json!({
                "effects": handle.effects(number(call, "after", 0)?, limit),
                "recorded": handle.effect_count(),
                "dropped": handle.effects_dropped(),
            })
        }
        "/control/duplicates" => json!({"duplicates": handle.duplicates()}),
        "/control/events" => {
            let whose = whose(call)?;
            let calendar = call.param("calendar_id");
            json!({"events": handle.live_events(whose.provider, &whose.account, calendar)})
        }
        "/control/receipt" => {
            let receipt = handle.first_receipt(call.param("appointment_id").unwrap_or_default());
            let micros = receipt.and_then(|at| u64::try_from(at.as_micros()).ok());
            json!({"received_micros": micros})
        }
        "/control/faults" => json!({"faults": handle.faults()}),
        _ => return Err(Refusal::NoSuchThing),
    })
}

fn totals(handle: &SimulatorHandle) -> Value {
    let of = |provider| {
        let total = |operation| handle.total(provider, operation);
        json!({
            "create": total(EffectKind::Create),
            "restore": total(EffectKind::Restore),
            "update": total(EffectKind::Update),
            "delete": total(EffectKind::Delete),
            "mail": total(EffectKind::Mail),
            "meeting_lost": total(EffectKind::MeetingLost),
        })
    };
    json!({"google": of(ProviderKind::Google), "outlook": of(ProviderKind::Outlook)})
}

fn order(handle: &SimulatorHandle, call: &Call) -> Result<Value, Refusal> {
    match call.path.as_str() {
        "/control/faults" => {
            let id = handle
                .add_fault(body::<FaultRule>(call)?)
                .map_err(|error| Refusal::Bad(error.to_string()))?;
            return Ok(json!({"id": id}));
        }
        "/control/chaos" => {
            let order: ChaosOrder = body(call)?;
            handle.chaos(order.rate, order.seed);
        }
        "/control/account" => {
            let order: Opening = body(call)?;
            let time_zone = order
                .time_zone
                .parse()
                .map_err(|_| Refusal::Bad("unknown time zone".to_owned()))?;
            handle.open_account(order.provider, &order.account, time_zone);
        }
        "/control/edit" => {
            let order: ByHand = body(call)?;
            handle.edit(order.provider, &order.account, &order.event, &order.edit)?;
        }
        "/control/writable" => {
            let order: Writable = body(call)?;
            let (account, calendar) = (&order.account, &order.calendar_id);
            handle.set_writable(order.provider, account, calendar, order.writable)?;
        }
        "/control/revoke" => {
            let whose: Whose = body(call)?;
            return Ok(json!({"revoked": handle.revoke(whose.provider, &whose.account)}));
        }
        "/control/expire" => {
            let whose: Whose = body(call)?;
            handle.expire_access_tokens(whose.provider, &whose.account);
        }
        "/control/reset" => handle.reset(),
        _ => return Err(Refusal::NoSuchThing),
    }
    Ok(json!({}))
}

fn removal(handle: &SimulatorHandle, call: &Call) -> Result<Value, Refusal> {
    match (call.path.as_str(), call.param("id")) {
        ("/control/faults", None) => handle.clear_faults(),
        ("/control/faults", Some(_)) => {
            if !handle.remove_fault(number(call, "id", 0)?) {
                return Err(Refusal::NoSuchThing);
            }
        }
        ("/control/calendar", _) => {
            let whose = whose(call)?;
            let calendar = call.param("calendar_id").unwrap_or_default();
            handle.delete_calendar(whose.provider, &whose.account, calendar)?;
        }
        _ => return Err(Refusal::NoSuchThing),
    }
    Ok(json!({}))
}
