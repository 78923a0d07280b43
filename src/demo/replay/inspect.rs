//! Looking into every calendar of every coach, through the simulator's HTTP controls.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::demo::compare::{Difference, Holding, compare};
use crate::demo::oracle::Expectation;
use crate::demo::patience::CallError;
use crate::demo::progress::Progress;
use crate::domain::{AppointmentId, CoachId, ProviderKind};
use crate::simulator::Duplicate;

use super::{Show, account};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Live events in all calendars.
    pub(super) events: usize,
    pub(super) differences: Vec<Difference>,
    pub(super) duplicates: Vec<Duplicate>,
}

pub(super) async fn all(
    show: &Show,
    coaches: &BTreeSet<CoachId>,
    expectations: &BTreeMap<AppointmentId, Expectation>,
) -> Result<Findings, CallError> {
    let primary = primary_calendars(show).await?;
    let mut findings = Findings {
        duplicates: show.control.duplicates().await?,
        ..Findings::default()
    };
    let total = u64::try_from(coaches.len()).unwrap_or(u64::MAX);
    let progress = Progress::start("comparing calendars", total, &show.clock);
    for (done, coach) in (1..).zip(coaches) {
        for provider in ProviderKind::ALL {
            let account = account(*coach);
            let events = show.control.events(provider, &account).await?;
            findings.events += events.len();
            let key = (provider, account.clone());
            let holding = Holding {
                provider,
                account,
                coach: *coach,
                calendar_id: primary.get(&key).cloned().unwrap_or_default(),
                events,
            };
            findings.differences.extend(compare(&holding, expectations));
        }
        progress.reach(done);
    }
    progress.end();
    Ok(findings)
}

/// Where a new connection writes: the main calendar of its account.
async fn primary_calendars(
    show: &Show,
) -> Result<HashMap<(ProviderKind, String), String>, CallError> {
    let accounts = show.control.state().await?.accounts;
    Ok(accounts
        .into_iter()
        .filter_map(|account| {
            let calendar = account
                .calendars
                .into_iter()
                .find(|calendar| calendar.primary)?;
            Some(((account.provider, account.email), calendar.id))
        })
        .collect())
}
