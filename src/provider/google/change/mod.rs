//! One change of one Google event as a script: which call, and what its answer leads to. Pure.
//!
//! The id of an event is ours, so a create is safe to repeat: a second one is refused as a
//! duplicate, and the event that is there is looked at. A deleted event keeps its id taken; it is
//! put back if Google lets us, otherwise the next generation is asked for.

use reqwest::Method;

use super::convert;
use super::failure::{classify, has_reason};
use super::routes::GoogleEndpoints;
use super::wire::{Event, EventWrite};
use crate::domain::{
    CalendarId, CreateKey, Etag, EventContent, EventId, FailureCode, Fingerprint, Stale,
    SyncFailure, Timestamp,
};
use crate::provider::guests::Ours;
use crate::provider::http::Answer;
use crate::provider::script::{Call, Script, Step, header_value};
use crate::provider::{Change, Done, Parts, Wrote};

/// What Google charges for a patch; every other call costs one unit.
const PATCH_UNITS: u32 = 3;

pub(super) struct ChangeScript<'a> {
    google: &'a GoogleEndpoints,
    key: CreateKey,
    calendar: &'a CalendarId,
    event: EventId,
    stage: Stage<'a>,
}

enum Stage<'a> {
    Insert(Wanted<'a>),
    Read(Wanted<'a>),
    Write(Wanted<'a>),
    Restore(Wanted<'a>),
    Delete,
}

/// What the event shall hold.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    content: &'a EventContent,
    parts: Parts,
    pushed_guest: Option<&'a Fingerprint>,
    /// The version that needs no writing.
    untouched: Option<&'a Etag>,
    /// The event is the remains of a create of our own.
    adopting: bool,
    /// Someone wrote in between once already.
    had_conflict: bool,
}

impl<'a> Wanted<'a> {
    fn ours(&self) -> Ours<'a> {
        if self.adopting {
            Ours::All
        } else {
            Ours::Pushed(self.pushed_guest)
        }
    }
}

impl<'a> ChangeScript<'a> {
    pub(super) fn start(google: &'a GoogleEndpoints, change: &'a Change) -> Step<Self> {
        let script = |key: CreateKey, calendar, known: Option<&EventId>, stage| Self {
            google,
            key,
            calendar,
            event: known.cloned().unwrap_or_else(|| EventId(key.base32hex())),
            stage,
        };
        match change {
            Change::Create {
                key,
                calendar_id,
                content,
                unsure: _,
            } => {
                let wanted = Wanted {
                    content,
                    parts: Parts::ALL,
                    pushed_guest: None,
                    untouched: None,
                    adopting: true,
                    had_conflict: false,
                };
                let call = Call::new(Method::POST, google.insert(calendar_id))
                    .json(&convert::new_event(key, content));
                Step::Call(call, script(*key, calendar_id, None, Stage::Insert(wanted)))
            }
            Change::Update {
                target,
                content,
                parts,
                pushed_guest,
            } => {
                let wanted = Wanted {
                    content,
                    parts: *parts,
                    pushed_guest: pushed_guest.as_ref(),
                    untouched: None,
                    adopting: false,
                    had_conflict: false,
                };
                let event = target.event_id.as_ref();
                let script = script(target.key, &target.calendar_id, event, Stage::Delete);
                if *parts == Parts::NONE {
                    let etag = target.etag.clone();
                    return script.live(etag, Wrote::Only(*parts));
                }
                match header_value(target.etag.as_ref()) {
                    Some(etag) => {
                        let patch = convert::blind_patch(content, *parts);
                        script.patch(&patch, Some(etag), Stage::Write(wanted))
                    }
                    None => script.look(wanted),
                }
            }
            Change::Verify {
                target,
                content,
                pushed_guest,
            } => {
                let wanted = Wanted {
                    content,
                    parts: Parts::ALL,
                    pushed_guest: pushed_guest.as_ref(),
                    untouched: target.etag.as_ref(),
                    adopting: false,
                    had_conflict: false,
                };
                let event = target.event_id.as_ref();
                script(target.key, &target.calendar_id, event, Stage::Delete).look(wanted)
            }
            Change::Delete { target } => {
                let event = target.event_id.as_ref();
                let script = script(target.key, &target.calendar_id, event, Stage::Delete);
                let url = google.change(script.calendar, &script.event);
                Step::Call(Call::new(Method::DELETE, url), script)
            }
        }
    }

    fn look(self, wanted: Wanted<'a>) -> Step<Self> {
        let url = self.google.event(self.calendar, &self.event);
        let stage = Stage::Read(wanted);
        Step::Call(Call::get(url), Self { stage, ..self })
    }

    fn patch(
        self,
        patch: &EventWrite,
        if_match: Option<reqwest::header::HeaderValue>,
        stage: Stage<'a>,
    ) -> Step<Self> {
        let url = self.google.change(self.calendar, &self.event);
        let call = Call {
            if_match,
            units: PATCH_UNITS,
            ..Call::new(Method::PATCH, url)
        };
        Step::Call(call.json(patch), Self { stage, ..self })
    }

    /// The event as it is now: written to, put back, or not ours.
    fn found(self, answer: &Answer, wanted: Wanted<'a>) -> Step<Self> {
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
            convert::whole_patch(&self.key, wanted.content, &event, wanted.ours())
        } else {
            convert::merged_patch(wanted.content, wanted.parts, &event, wanted.ours())
        };
        let if_match = header_value(etag.as_ref());
        self.patch(&patch, if_match, Stage::Write(wanted))
    }

    fn restore(self, event: &Event, wanted: Wanted<'a>) -> Step<Self> {
        let patch = EventWrite {
            status: Some("confirmed"),
            ..convert::whole_patch(&self.key, wanted.content, event, wanted.ours())
        };
        self.patch(&patch, None, Stage::Restore(wanted))
    }

    /// A write that Google reports as done.
    fn written(self, answer: &Answer, wanted: Wanted<'a>, wrote: Wrote) -> Step<Self> {
        let event: Event = match answer.json() {
            Ok(event) => event,
            Err(failure) => return Step::fail(failure),
        };
        if event.is_cancelled() {
            // Google takes a patch of a deleted event without putting it back.
            return match self.stage {
                Stage::Write(_) => self.restore(&event, wanted),
                Stage::Insert(_) | Stage::Read(_) | Stage::Restore(_) | Stage::Delete => gone(),
            };
        }
        let others = convert::holds_others(&event, wanted.content, wanted.pushed_guest);
        let etag = event.etag.filter(|_| !others).map(Etag);
        self.live(etag, wrote)
    }

    fn live(self, etag: Option<Etag>, wrote: Wrote) -> Step<Self> {
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
        match self.stage {
            Stage::Insert(wanted) if is_success => self.written(answer, wanted, Wrote::All),
            // `conflict` is another part of the same batch; any other 409 is a taken id.
            Stage::Insert(wanted) if status == 409 && !has_reason(answer, "conflict") => {
                self.look(wanted)
            }
            Stage::Read(wanted) if is_success => self.found(answer, wanted),
            Stage::Write(wanted) if is_success => {
                let wrote = if wanted.parts == Parts::ALL {
                    Wrote::All
                } else {
                    Wrote::Only(wanted.parts)
                };
                self.written(answer, wanted, wrote)
            }
            Stage::Write(wanted) if status == 412 && !wanted.had_conflict => self.look(Wanted {
                had_conflict: true,
                ..wanted
            }),
            Stage::Restore(wanted) if is_success => self.written(answer, wanted, Wrote::All),
            Stage::Restore(_) if is_refusal(answer, now) => gone(),
            Stage::Read(_) | Stage::Write(_) if matches!(status, 404 | 410) => gone(),
            Stage::Delete if is_success || matches!(status, 404 | 410) => Step::End(Ok(Done::Gone)),
            Stage::Insert(_)
            | Stage::Read(_)
            | Stage::Write(_)
            | Stage::Restore(_)
            | Stage::Delete => Step::fail(classify(answer, now)),
        }
    }
}

/// Whether this event cannot be put back, as against a passing trouble or a missing scope.
fn is_refusal(answer: &Answer, now: Timestamp) -> bool {
    match classify(answer, now) {
        SyncFailure::Permanent { code, .. } => {
            answer.status.as_u16() == 403 && code != FailureCode::NoCalendarService
        }
        SyncFailure::Retryable { .. } => answer.status.as_u16() == 404,
        SyncFailure::StaleTarget(stale) => stale == Stale::Gone,
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
