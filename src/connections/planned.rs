//! Due rows, planned and put into the provider's vocabulary.

use super::services::Service;
use crate::domain::{CalendarId, Mapping, Timestamp};
use crate::plan::{Plan, Situation, intent, is_unseen_for_long, plan, wanted_in};
use crate::provider::Change;
use crate::store::{Claim, Claimed};

/// Rows to work on, planned.
pub(super) struct Planned {
    pub(super) claimed: Claimed,
    pub(super) plan: Plan,
    /// The mapping as it is once the intent is written.
    pub(super) mapping: Option<Mapping>,
    pub(super) change: Option<Change>,
    /// The calendar that is to hold an event, if one is.
    pub(super) wanted_in: Option<CalendarId>,
}

pub(super) fn planned_row(
    claimed: &Claimed,
    claim: &Claim,
    service: &Service,
    now: Timestamp,
) -> Planned {
    let plan = plan(Situation {
        appointment: &claimed.appointment,
        mapping: claimed.mapping.as_ref(),
        connection: &claim.connection,
        flags: claimed.job.flags,
        now,
    });
    let intended = intent(
        &plan,
        claimed.mapping.as_ref(),
        claimed.appointment.id,
        &claim.connection,
    )
    .map(|mapping| Mapping {
        event_id: mapping
            .event_id
            .clone()
            .or_else(|| service.api.planned_event_id(&mapping.key())),
        ..mapping
    });
    let mapping = intended.or_else(|| claimed.mapping.clone());
    // With sync off an event may still be cleaned of client details, but none comes back.
    let put_back = claim.connection.settings.is_sync_enabled;
    let may_be_there = claimed.mapping.as_ref().is_some_and(Mapping::may_be_there);
    let unseen = is_unseen_for_long(claimed.job.attempts, claimed.job.error_code.as_deref());
    let change = change(&plan, mapping.as_ref(), may_be_there, unseen, put_back);
    Planned {
        wanted_in: wanted_in(&claimed.appointment, &claim.connection).cloned(),
        claimed: claimed.clone(),
        plan,
        mapping,
        change,
    }
}

/// The plan in the provider's vocabulary; `None` if nothing is to be called.
fn change(
    plan: &Plan,
    mapping: Option<&Mapping>,
    may_be_there: bool,
    unseen_for_long: bool,
    put_back: bool,
) -> Option<Change> {
    let mapping = mapping?;
    let pushed_guest = mapping
        .pushed
        .as_ref()
        .and_then(|pushed| pushed.guest.clone());
    match plan {
        Plan::Nothing(_) => None,
        Plan::Create(content) | Plan::FinishCreate(content) => Some(Change::Create {
            key: mapping.key(),
            calendar_id: mapping.calendar_id.clone(),
            content: content.clone(),
            unsure: may_be_there,
            unseen_for_long,
        }),
        Plan::Update(content, parts) => Some(Change::Update {
            target: mapping.event_ref(),
            content: content.clone(),
            parts: *parts,
            pushed_guest,
            put_back,
        }),
        Plan::Verify(content) => Some(Change::Verify {
            target: mapping.event_ref(),
            content: content.clone(),
            pushed_guest,
            put_back,
        }),
        Plan::Delete | Plan::MoveAway => Some(Change::Delete {
            target: mapping.event_ref(),
        }),
    }
}
