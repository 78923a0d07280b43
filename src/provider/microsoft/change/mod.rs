//! One change of one Outlook event as a script: which call, and what its answer leads to. Pure.
//!
//! Graph makes the ids, so an event is found again by the key it carries. An event is always *read*
//! by searching its calendar for the key, never by id: by immutable id, Graph may show an event
//! that lies in Deleted Items or was moved to another calendar. Either is "not in this calendar",
//! and whatever is left under the old id is removed before the next generation is asked for. Only a
//! search of a calendar that is there tells so: an event that is not found by its id may lie in one
//! that is out of our reach for a while. And where Graph says that the key's event was made, one that
//! the search does not show yet is waited for.

use reqwest::Method;

use super::convert;
use super::failure::{
    DUPLICATE_TRANSACTION, calendar_not_found, classify, existing_event, has_code, is_gone,
};
use super::routes::GraphEndpoints;
use super::wire::{Event, EventWrite, Page};
use crate::domain::Parts;
use crate::domain::{
    CalendarId, CreateKey, Etag, EventContent, EventId, FailureCode, Fingerprint, Stale,
    SyncFailure, Timestamp,
};
use crate::provider::guests::Ours;
use crate::provider::http::Answer;
use crate::provider::script::{Call, Script, Step, header_value};
use crate::provider::{Change, Done, Wrote};

/// A key names one event; a search that goes on longer than this is not believed.
const MAX_SEARCH_PAGES: usize = 5;

pub(super) struct ChangeScript<'a> {
    target: Target<'a>,
    stage: Stage<'a>,
}

/// Which event, as far as we know it.
struct Target<'a> {
    graph: &'a GraphEndpoints,
    key: CreateKey,
    calendar: &'a CalendarId,
    known: Option<EventId>,
}

enum Stage<'a> {
    /// Looking for events with the key; `found` so far.
    Search {
        why: Why<'a>,
        found: Vec<Event>,
        pages: usize,
    },
    Post(Wanted<'a>),
    Write {
        wanted: Wanted<'a>,
        event: EventId,
        /// Sent without having read the event.
        blind: bool,
    },
    /// Removing events that must not stay, then going on.
    Prune {
        doomed: Vec<EventId>,
        then: Then<'a>,
    },
}

enum Why<'a> {
    /// An earlier create may have landed.
    Adopt(Wanted<'a>),
    /// Graph says, or we saw, that an earlier create landed.
    Find(Wanted<'a>),
    /// To change what is there.
    Read(Wanted<'a>),
    Delete,
}

enum Then<'a> {
    Write(Wanted<'a>, Box<Event>),
    End(Result<Done, SyncFailure>),
}

/// What the event shall hold.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    content: &'a EventContent,
    parts: Parts,
    ours: Ours<'a>,
    pushed_guest: Option<&'a Fingerprint>,
    /// The version that needs no writing.
    untouched: Option<&'a Etag>,
    /// It was not as we knew it, and looked for again, once already.
    had_conflict: bool,
    /// The key has been taken for long, and no event was seen under it.
    unseen_for_long: bool,
}

impl<'a> Wanted<'a> {
    fn new(content: &'a EventContent, parts: Parts, pushed_guest: Option<&'a Fingerprint>) -> Self {
        Self {
            content,
            parts,
            ours: Ours::Pushed(pushed_guest),
            pushed_guest,
            untouched: None,
            had_conflict: false,
            unseen_for_long: false,
        }
    }
}

impl<'a> ChangeScript<'a> {
    pub(super) fn start(graph: &'a GraphEndpoints, change: &'a Change) -> Step<Self> {
        let target = |key: CreateKey, calendar, known: Option<&EventId>| Target {
            graph,
            key,
            calendar,
            known: known.cloned(),
        };
        match change {
            Change::Create {
                key,
                calendar_id,
                content,
                unsure,
                unseen_for_long,
            } => {
                let wanted = Wanted {
                    ours: Ours::All,
                    unseen_for_long: *unseen_for_long,
                    ..Wanted::new(content, Parts::ALL, None)
                };
                let target = target(*key, calendar_id, None);
                if *unsure {
                    target.search(Why::Adopt(wanted))
                } else {
                    target.post(wanted)
                }
            }
            Change::Update {
                target: known,
                content,
                parts,
                pushed_guest,
                // What is removed at Outlook stays gone under its id.
                put_back: _,
            } => {
                let wanted = Wanted::new(content, *parts, pushed_guest.as_ref());
                let event = known.event_id.as_ref();
                let target = target(known.key, &known.calendar_id, event);
                match (event, header_value(known.etag.as_ref())) {
                    (Some(event), _) if *parts == Parts::NONE => {
                        live(event.clone(), known.etag.clone(), Wrote::from(*parts))
                    }
                    (Some(event), Some(etag)) => {
                        let patch = convert::blind_patch(content, *parts, wanted.pushed_guest);
                        target.write(wanted, event.clone(), &patch, Some(etag), true)
                    }
                    (_, _) => target.search(Why::Read(wanted)),
                }
            }
            Change::Verify {
                target: known,
                content,
                pushed_guest,
                put_back: _,
            } => {
                let wanted = Wanted {
                    untouched: known.etag.as_ref(),
                    ..Wanted::new(content, Parts::ALL, pushed_guest.as_ref())
                };
                let event = known.event_id.as_ref();
                target(known.key, &known.calendar_id, event).search(Why::Read(wanted))
            }
            Change::Delete { target: known } => {
                let event = known.event_id.as_ref();
                let target = target(known.key, &known.calendar_id, event);
                match event {
                    Some(event) => target.prune(vec![event.clone()], Then::End(Ok(Done::Gone))),
                    None => target.search(Why::Delete),
                }
            }
        }
    }
}

impl<'a> Target<'a> {
    fn at(self, call: Call, stage: Stage<'a>) -> Step<ChangeScript<'a>> {
        let target = self;
        Step::Call(call, ChangeScript { target, stage })
    }

    fn search(self, why: Why<'a>) -> Step<ChangeScript<'a>> {
        let url = self.graph.search(self.calendar, &self.key);
        let stage = Stage::Search {
            why,
            found: Vec::new(),
            pages: 1,
        };
        self.at(Call::get(url), stage)
    }

    fn post(self, wanted: Wanted<'a>) -> Step<ChangeScript<'a>> {
        let call = Call::new(Method::POST, self.graph.events(self.calendar))
            .json(&convert::new_event(&self.key, wanted.content));
        let stage = Stage::Post(wanted);
        self.at(call, stage)
    }

    fn write(
        self,
        wanted: Wanted<'a>,
        event: EventId,
        patch: &EventWrite,
        if_match: Option<reqwest::header::HeaderValue>,
        blind: bool,
    ) -> Step<ChangeScript<'a>> {
        let call = Call {
            if_match,
            ..Call::new(Method::PATCH, self.graph.event(&event))
        };
        let stage = Stage::Write {
            wanted,
            event,
            blind,
        };
        self.at(call.json(patch), stage)
    }

    /// Writes `parts` into the event as it was read.
    fn merge(self, wanted: Wanted<'a>, parts: Parts, event: &Event) -> Step<ChangeScript<'a>> {
        let patch = convert::merged_patch(wanted.content, parts, event, wanted.ours);
        let if_match = header_value(event.etag.clone().map(Etag).as_ref());
        let id = EventId(event.id.clone());
        self.write(wanted, id, &patch, if_match, false)
    }

    fn prune(self, mut doomed: Vec<EventId>, then: Then<'a>) -> Step<ChangeScript<'a>> {
        match doomed.pop() {
            Some(event) => {
                let call = Call::new(Method::DELETE, self.graph.event(&event));
                let stage = Stage::Prune { doomed, then };
                self.at(call, stage)
            }
            None => match then {
                Then::Write(wanted, event) if wanted.parts == Parts::NONE => {
                    live(EventId(event.id), None, Wrote::from(Parts::NONE))
                }
                Then::Write(wanted, event) => self.merge(wanted, wanted.parts, &event),
                Then::End(result) => Step::End(result),
            },
        }
    }

    /// One page of a search: on to the next, or to what all of them lead to.
    fn searched(
        self,
        answer: &Answer,
        why: Why<'a>,
        mut found: Vec<Event>,
        pages: usize,
    ) -> Step<ChangeScript<'a>> {
        let page: Page<Event> = match answer.json() {
            Ok(page) => page,
            Err(failure) => return Step::fail(failure),
        };
        found.extend(page.value);
        match page.next {
            None => self.sort(why, found),
            Some(link) => match self.graph.next_page(&link) {
                Some(url) if pages < MAX_SEARCH_PAGES => {
                    let pages = pages + 1;
                    let stage = Stage::Search { why, found, pages };
                    self.at(Call::get(url), stage)
                }
                // Concluding that the event is not there would be wrong, and cost a second one.
                Some(_) | None => Step::fail(SyncFailure::retryable(
                    FailureCode::BadAnswer,
                    "Outlook's search for the event did not come to an end",
                )),
            },
        }
    }

    /// Keeps one event, the one we know or else the oldest, and dooms all others.
    fn sort(self, why: Why<'a>, mut found: Vec<Event>) -> Step<ChangeScript<'a>> {
        found.sort_by_cached_key(|event| {
            let is_known = self.known.as_ref().is_some_and(|known| known.0 == event.id);
            (!is_known, event.created_date_time.clone(), event.id.clone())
        });
        let keep = match why {
            Why::Adopt(_) | Why::Find(_) | Why::Read(_) => found
                .iter()
                .position(|event| event.is_cancelled != Some(true))
                .map(|place| found.remove(place)),
            Why::Delete => None,
        };
        let mut doomed: Vec<EventId> = found.into_iter().map(|event| EventId(event.id)).collect();
        let then = match (why, keep) {
            (Why::Adopt(wanted), None) if doomed.is_empty() => return self.post(wanted),
            (Why::Adopt(wanted) | Why::Find(wanted) | Why::Read(wanted), Some(event)) => {
                let etag = event.etag.clone().map(Etag);
                if wanted.untouched.is_some() && wanted.untouched == etag.as_ref() {
                    Then::End(Ok(Done::Live {
                        event_id: EventId(event.id),
                        etag,
                        wrote: Wrote::Nothing,
                    }))
                } else {
                    Then::Write(wanted, Box::new(event))
                }
            }
            (Why::Find(wanted), None) if doomed.is_empty() && !wanted.unseen_for_long => {
                return Step::fail(SyncFailure::retryable(
                    FailureCode::Conflict,
                    "Outlook says that it made the event, but shows none yet",
                ));
            }
            (Why::Adopt(_) | Why::Find(_) | Why::Read(_), None) => {
                doomed.extend(self.known.clone());
                Then::End(Err(SyncFailure::StaleTarget(Stale::Gone)))
            }
            (Why::Delete, _) => Then::End(Ok(Done::Gone)),
        };
        doomed.sort_by(|one, other| one.0.cmp(&other.0));
        doomed.dedup();
        self.prune(doomed, then)
    }

    /// A write that Graph reports as done.
    fn written(self, answer: &Answer, wanted: Wanted<'a>, blind: bool) -> Step<ChangeScript<'a>> {
        let event: Event = match answer.json() {
            Ok(event) => event,
            Err(failure) => return Step::fail(failure),
        };
        if event.is_cancelled == Some(true) {
            let gone = Err(SyncFailure::StaleTarget(Stale::Gone));
            return self.prune(vec![EventId(event.id)], Then::End(gone));
        }
        if blind && wanted.parts.text && event.is_online_meeting() {
            // The condition was not heeded and the way into the meeting overwritten: a link to it
            // can still be given.
            let text = Parts {
                text: true,
                ..Parts::NONE
            };
            return self.merge(wanted, text, &event);
        }
        settled(event, wanted, blind)
    }
}

impl Script for ChangeScript<'_> {
    fn read(self, answer: &Answer, now: Timestamp) -> Step<Self> {
        let is_success = answer.status.is_success();
        let Self { mut target, stage } = self;
        match stage {
            Stage::Search { why, found, pages } if is_success => {
                target.searched(answer, why, found, pages)
            }
            Stage::Search { why, .. } if is_gone(answer, now) => match why {
                // Here this will do: who moves away from a calendar that was deleted, or erases an
                // appointment, must not wait for it to come back.
                Why::Delete => Step::End(Ok(Done::Gone)),
                Why::Adopt(_) | Why::Find(_) | Why::Read(_) => Step::fail(calendar_not_found()),
            },
            Stage::Post(wanted) if is_success => match answer.json() {
                Ok(event) => settled(event, wanted, false),
                Err(failure) => Step::fail(failure),
            },
            Stage::Post(wanted) if has_code(answer, DUPLICATE_TRANSACTION) => {
                target.known = existing_event(answer);
                target.search(Why::Find(wanted))
            }
            Stage::Write { wanted, blind, .. } if is_success => {
                target.written(answer, wanted, blind)
            }
            Stage::Write { wanted, event, .. } if is_conflict(answer) || is_gone(answer, now) => {
                if wanted.had_conflict {
                    return Step::fail(SyncFailure::StaleTarget(Stale::Changed));
                }
                target.known = Some(event);
                target.search(Why::Read(Wanted {
                    had_conflict: true,
                    ..wanted
                }))
            }
            Stage::Prune { doomed, then } if is_success || is_gone(answer, now) => {
                target.prune(doomed, then)
            }
            Stage::Search { .. } | Stage::Post(_) | Stage::Write { .. } | Stage::Prune { .. } => {
                Step::fail(classify(answer, now))
            }
        }
    }
}

/// Someone else wrote meanwhile. Exchange also says so in passing, with no condition sent.
fn is_conflict(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 409 | 412)
}

/// The version is kept only if all of ours is known to be in it: written just now, or left by the
/// version that a blind write named. What was read may differ in the parts that were not written.
fn settled<S>(event: Event, wanted: Wanted<'_>, blind: bool) -> Step<S> {
    let is_known = blind || wanted.parts == Parts::ALL;
    let needs_reading = convert::needs_reading(&event, wanted.content, wanted.pushed_guest);
    let etag = event.etag.filter(|_| is_known && !needs_reading).map(Etag);
    live(EventId(event.id), etag, Wrote::from(wanted.parts))
}

fn live<S>(event_id: EventId, etag: Option<Etag>, wrote: Wrote) -> Step<S> {
    Step::End(Ok(Done::Live {
        event_id,
        etag,
        wrote,
    }))
}

#[cfg(test)]
mod tests;
