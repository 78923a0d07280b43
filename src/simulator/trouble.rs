//! The panel beside the week with which people make trouble: what real providers do on bad days, one
//! button each. Plain forms, so that it works without a script.

use std::sync::Arc;

use crate::domain::ProviderKind;

use super::faults::{FaultEffect, FaultRule};
use super::handle::SimulatorHandle;
use super::message::{Call, Reply, first};
use super::page::escape;
use super::world::Shared;

/// For how long a limited account is told to wait, seconds.
const LIMIT_SECONDS: &str = "20";
/// So many answers get lost.
const LOST_ANSWERS: u32 = 3;

/// What can be done, as the form names it, and as the button says it.
const TROUBLES: [(&str, &str); 4] = [
    ("outage", "Outage"),
    ("limit", "Rate limit"),
    ("lose", "Lose answers"),
    ("revoke", "Revoke the grant"),
];

/// Carries out what a button of the panel asks for, and leads back to the week.
pub(super) fn answer(shared: &Arc<Shared>, call: &Call) -> Reply {
    if call.method.as_str() != "POST" {
        return Reply::empty(405);
    }
    let handle = SimulatorHandle::new(shared.clone());
    let form = call.form();
    let provider = first(&form, "provider").and_then(|text| text.parse().ok());
    let done = match (first(&form, "what").unwrap_or_default(), provider) {
        ("end", _) => {
            handle.clear_faults();
            true
        }
        (what, Some(provider)) => make(&handle, what, provider),
        (_, None) => false,
    };
    if done {
        Reply::redirect("/week")
    } else {
        Reply::empty(400)
    }
}

fn make(handle: &SimulatorHandle, what: &str, provider: ProviderKind) -> bool {
    let rule = match what {
        "outage" => FaultRule::always(FaultEffect::Status {
            status: 503,
            code: None,
            retry_after: None,
        }),
        "limit" => FaultRule::once(FaultEffect::Status {
            status: 429,
            code: None,
            retry_after: Some(LIMIT_SECONDS.to_owned()),
        }),
        "lose" => FaultRule::always(FaultEffect::AnswerLost).times(LOST_ANSWERS),
        "revoke" => {
            for account in handle.accounts() {
                if account.provider == provider {
                    handle.revoke(provider, &account.email);
                }
            }
            return true;
        }
        _ => return false,
    };
    handle.add_fault(rule.on(provider)).is_ok()
}

/// The panel as HTML; `rules` are in force.
pub(super) fn panel(rules: usize) -> String {
    let of_provider = |provider: ProviderKind| {
        let buttons: String = TROUBLES
            .iter()
            .map(|(what, text)| {
                format!(
                    "<button name=\"what\" value=\"{what}\">{}</button>",
                    escape(text)
                )
            })
            .collect();
        format!(
            "<form method=\"post\" action=\"/trouble\"><fieldset><legend>{}</legend>\
             <input type=\"hidden\" name=\"provider\" value=\"{provider}\">{buttons}</fieldset></form>",
            escape(provider.display_name()),
        )
    };
    let forms: String = ProviderKind::ALL.into_iter().map(of_provider).collect();
    let state = match rules {
        0 => "All is well.",
        _ => "Trouble is under way or waiting for the next call.",
    };
    format!(
        "<section class=\"trouble\" aria-labelledby=\"trouble-title\"><h2 id=\"trouble-title\">Make trouble</h2>\
         <p class=\"soft\">{state}</p>{forms}<form method=\"post\" action=\"/trouble\">\
         <button class=\"main\" name=\"what\" value=\"end\">End all trouble</button></form></section>"
    )
}
