//! One change of one Google event as a script: which call, and what its answer leads to. Pure.
//!
//! The id of an event is ours, so a create is safe to repeat: a second one is refused as a
//! duplicate, and the event that is there is looked at; if there is none to be seen, it is waited for.
//! A deleted event keeps its id taken; it is put back if Google lets us, otherwise the next generation
//! is asked for.
//!
//! "Not found" is no proof that an event is gone: Google says so, too, of everything in a calendar that
//! it keeps from us for a while. Before the next generation is asked for, the calendar is asked for
//! events with the key.

use reqwest::Method;

use super::convert;
use super::failure::{classify, has_reason};
use super::routes::GoogleEndpoints;
use super::wire::{Event, EventList, EventWrite};
use crate::domain::Parts;
use crate::domain::{
    CalendarId, CreateKey, Etag, EventContent, EventId, FailureCode, Fingerprint, Stale,
    SyncFailure, Timestamp,
};
use crate::provider::guests::Ours;
use crate::provider::http::Answer;
use crate::provider::script::{Call, Script, Step, header_value};
use crate::provider::{Change, Done, Wrote};

/// What Google charges for a patch; every other call costs one unit.
const PATCH_UNITS: u32 = 3;

pub(super) struct ChangeScript<'a> {
    target: Target<'a>,
    stage: Stage<'a>,
}

/// Which event.
struct Target<'a> {
    google: &'a GoogleEndpoints,
    key: CreateKey,
    calendar: &'a CalendarId,
    event: EventId,
}

enum Stage<'a> {
    Insert(Wanted<'a>),
    /// Reading what a create found under its id.
    Adopt(Wanted<'a>),
    Read(Wanted<'a>),
    Write {
        wanted: Wanted<'a>,
        /// Sent without having read the event.
        blind: bool,
    },
    Restore(Wanted<'a>),
    /// Asking the calendar for an event that was not found by its id.
    Search,
    Delete,
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
    /// Someone wrote in between once already.
    had_conflict: bool,
    /// Whether it is put back if it was removed.
    put_back: bool,
    /// The id has been taken for long, and no event was seen under it.
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
            put_back: true,
            unseen_for_long: false,
        }
    }
}

impl<'a> ChangeScript<'a> {
    pub(super) fn start(google: &'a GoogleEndpoints, change: &'a Change) -> Step<Self> {
        let target = |key: CreateKey, calendar, known: Option<&EventId>| Target {
            google,
            key,
            calendar,
            event: known.cloned().unwrap_or_else(|| EventId(key.base32hex())),
        };
        match change {
            Change::Create {
                key,
                calendar_id,
                content,
                unsure: _,
                unseen_for_long,
            } => {
                let wanted = Wanted {
                    ours: Ours::All,
                    unseen_for_long: *unseen_for_long,
                    ..Wanted::new(content, Parts::ALL, None)
                };
                let call = Call::new(Method::POST, google.insert(calendar_id))
                    .json(&convert::new_event(key, content));
                target(*key, calendar_id, None).at(call, Stage::Insert(wanted))
            }
            Change::Update {
                target: known,
                content,
                parts,
                pushed_guest,
                put_back,
            } => {
                let wanted = Wanted {
                    put_back: *put_back,
                    ..Wanted::new(content, *parts, pushed_guest.as_ref())
                };
                let event = known.event_id.as_ref();
                let target = target(known.key, &known.calendar_id, event);
                if *parts == Parts::NONE {
                    return target.live(known.etag.clone(), Wrote::from(*parts));
                }
                match header_value(known.etag.as_ref()) {
                    Some(etag) => {
                        let patch = convert::blind_patch(content, *parts, wanted.pushed_guest);
                        let blind = true;
                        target.patch(&patch, Some(etag), Stage::Write { wanted, blind })
                    }
                    None => target.look(Stage::Read(wanted)),
                }
            }
            Change::Verify {
                target: known,
                content,
                pushed_guest,
                put_back,
            } => {
                let wanted = Wanted {
                    put_back: *put_back,
                    untouched: known.etag.as_ref(),
                    ..Wanted::new(content, Parts::ALL, pushed_guest.as_ref())
                };
                let event = known.event_id.as_ref();
                target(known.key, &known.calendar_id, event).look(Stage::Read(wanted))
            }
            Change::Delete { target: known } => {
                let event = known.event_id.as_ref();
                let target = target(known.key, &known.calendar_id, event);
                let url = google.change(target.calendar, &target.event);
                target.at(Call::new(Method::DELETE, url), Stage::Delete)
            }
        }
    }
}

impl<'a> Target<'a> {
    fn at(self, call: Call, stage: Stage<'a>) -> Step<ChangeScript<'a>> {
        let target = self;
        Step::Call(call, ChangeScript { target, stage })
    }

    fn look(self, stage: Stage<'a>) -> Step<ChangeScript<'a>> {
        let url = self.google.event(self.calendar, &self.event);
        self.at(Call::get(url), stage)
    }

    fn patch(
        self,
        patch: &EventWrite,
        if_match: Option<reqwest::header::HeaderValue>,
        stage: Stage<'a>,
    ) -> Step<ChangeScript<'a>> {
        let url = self.google.change(self.calendar, &self.event);
        let call = Call {
            if_match,
            units: PATCH_UNITS,
            ..Call::new(Method::PATCH, url)
        };
        self.at(call.json(patch), stage)
    }

    /// The event as it is now: written to, put back, or not ours.
    fn found(self, answer: &Answer, wanted: Wanted<'a>) -> Step<ChangeScript<'a>> {
        let event: Event = match answer.json() {
            Ok(event) => event,
            Err(failure) => return Step::fail(failure),
        };
        // The id alone is as good as proof; a mark that names another key is proof against it. A
        // missing mark is neither: other tools drop what they do not know, and so does deleting.
        let mark = event.extended_properties.private.event_key.as_deref();
        if mark.is_some_and(|mark| mark != self.key.hex()) {
            return gone();
        }
        if event.is_cancelled() {
            return self.restore(&event, wanted);
        }
        let etag = event.etag.clone().map(Etag);
        if wanted.untouched.is_some() && wanted.untouched == etag.as_ref() {
            return self.live(etag, Wrote::Nothing);
        }
        let patch = if wanted.parts == Parts::ALL {
            convert::whole_patch(&self.key, wanted.content, &event, wanted.ours)
        } else {
            convert::merged_patch(wanted.content, wanted.parts, &event, wanted.ours)
        };
        let if_match = header_value(etag.as_ref());
        let blind = false;
        self.patch(&patch, if_match, Stage::Write { wanted, blind })
    }

    fn search(self) -> Step<ChangeScript<'a>> {
        let url = self.google.search(self.calendar, &self.key);
        self.at(Call::get(url), Stage::Search)
    }

    /// The calendar is there, and says which events with the key it holds.
    fn searched(self, answer: &Answer) -> Step<ChangeScript<'a>> {
        let list: EventList = match answer.json() {
            Ok(list) => list,
            Err(failure) => return Step::fail(failure),
        };
        let is_it =
            |event: &Event| event.id.as_ref() == Some(&self.event.0) && !event.is_cancelled();
        if list.items.iter().any(is_it) {
            return Step::fail(SyncFailure::retryable(
                FailureCode::Conflict,
                "Google lists the event, but does not find it by its id",
            ));
        }
        gone()
    }

    fn restore(self, event: &Event, wanted: Wanted<'a>) -> Step<ChangeScript<'a>> {
        if !wanted.put_back {
            return gone();
        }
        let patch = EventWrite {
            status: Some("confirmed"),
            ..convert::whole_patch(&self.key, wanted.content, event, wanted.ours)
        };
        self.patch(&patch, None, Stage::Restore(wanted))
    }

    /// An event that Google reports as made or put back.
    fn made(self, answer: &Answer, wanted: Wanted<'a>) -> Step<ChangeScript<'a>> {
        match answer.json::<Event>() {
            Ok(event) if event.is_cancelled() => gone(),
            Ok(event) => self.settled(event, wanted, Wrote::All, false),
            Err(failure) => Step::fail(failure),
        }
    }

    /// A patch that Google reports as done.
    fn written(self, answer: &Answer, wanted: Wanted<'a>, blind: bool) -> Step<ChangeScript<'a>> {
        match answer.json::<Event>() {
            // Google takes a patch of a deleted event without putting it back.
            Ok(event) if event.is_cancelled() => self.restore(&event, wanted),
            Ok(event) => self.settled(event, wanted, Wrote::from(wanted.parts), blind),
            Err(failure) => Step::fail(failure),
        }
    }

    /// The version is kept only if all of ours is known to be in it: written just now, or left by the
    /// version that a blind write named. What was read may differ in the parts that were not written.
    fn settled(
        self,
        event: Event,
        wanted: Wanted<'a>,
        wrote: Wrote,
        blind: bool,
    ) -> Step<ChangeScript<'a>> {
        let is_known = blind || wrote == Wrote::All;
        let others = convert::holds_others(&event, wanted.content, wanted.pushed_guest);
        let etag = event.etag.filter(|_| is_known && !others).map(Etag);
        self.live(etag, wrote)
    }

    fn live(self, etag: Option<Etag>, wrote: Wrote) -> Step<ChangeScript<'a>> {
        Step::End(Ok(Done::Live {
            event_id: self.event,
            etag,
            wrote,
        }))
    }
}

impl Script for ChangeScript<'_> {
    fn read(self, answer: &Answer, now: Timestamp) -> Step<Self> {
        let status = answer.status.as_u16();
        let is_success = answer.status.is_success();
        let Self { target, stage } = self;
        match stage {
            Stage::Insert(wanted) | Stage::Restore(wanted) if is_success => {
                target.made(answer, wanted)
            }
            // `conflict` is another part of the same batch; any other 409 is a taken id.
            Stage::Insert(wanted) if status == 409 && !has_reason(answer, "conflict") => {
                target.look(Stage::Adopt(wanted))
            }
            Stage::Adopt(wanted) | Stage::Read(wanted) if is_success => {
                target.found(answer, wanted)
            }
            // The id was just called taken: what has it may be shown in a moment.
            Stage::Adopt(wanted) if status == 404 && !wanted.unseen_for_long => {
                Step::fail(SyncFailure::retryable(
                    FailureCode::Conflict,
                    "Google calls the event's id taken, but shows no event yet",
                ))
            }
            Stage::Adopt(_) if matches!(status, 404 | 410) => gone(),
            Stage::Write { wanted, blind } if is_success => target.written(answer, wanted, blind),
            Stage::Write { wanted, .. } if status == 412 && !wanted.had_conflict => {
                target.look(Stage::Read(Wanted {
                    had_conflict: true,
                    ..wanted
                }))
            }
            Stage::Restore(_) if is_refusal(answer, now) => gone(),
            Stage::Read(_) | Stage::Write { .. } if status == 410 => gone(),
            Stage::Read(_) | Stage::Write { .. } if status == 404 => target.search(),
            Stage::Search if is_success => target.searched(answer),
            // Here not found will do, whatever is missing: who moves away from a calendar that was
            // deleted, or erases an appointment, must not wait for it to come back.
            Stage::Delete if is_success || matches!(status, 404 | 410) => Step::End(Ok(Done::Gone)),
            Stage::Insert(_)
            | Stage::Adopt(_)
            | Stage::Read(_)
            | Stage::Write { .. }
            | Stage::Restore(_)
            | Stage::Search
            | Stage::Delete => Step::fail(classify(answer, now)),
        }
    }
}

/// Whether this event cannot be put back, as against a passing trouble or a missing scope.
fn is_refusal(answer: &Answer, now: Timestamp) -> bool {
    matches!(answer.status.as_u16(), 403 | 404 | 410)
        && match classify(answer, now) {
            SyncFailure::Retryable { .. }
            | SyncFailure::StaleTarget(_)
            | SyncFailure::Permanent { .. } => true,
            SyncFailure::RateLimited { .. }
            | SyncFailure::NeedsReauth(_)
            | SyncFailure::Operator { .. } => false,
        }
}

fn gone<S>() -> Step<S> {
    Step::fail(SyncFailure::StaleTarget(Stale::Gone))
}

#[cfg(test)]
mod tests;
