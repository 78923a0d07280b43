//! [`CalendarProvider`] for Graph: sending, and reading the account and its calendars.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{Client, Method, RequestBuilder};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::Url;

use super::batch::{self, Order, PREFER};
use super::change::ChangeScript;
use super::convert;
use super::failure::{classify, is_gone};
use super::routes::GraphEndpoints;
use super::wire::{CalendarEntry, Page, User};
use crate::domain::{
    Calendar, CalendarId, Clock, CreateKey, EventId, FailureCode, ProviderKind, ReauthReason,
    SyncFailure,
};
use crate::provider::http::{self, Answer};
use crate::provider::script::{self, Call, Transport, batch_refused, unanswered};
use crate::provider::{Access, Account, CalendarProvider, Change, Done};

/// 100 calendars each, should Graph honour what we ask for.
const MAX_CALENDAR_PAGES: usize = 20;

/// Outlook, through Microsoft Graph, as a [`CalendarProvider`].
#[derive(Debug)]
pub struct MicrosoftGraph {
    http: Client,
    graph: GraphEndpoints,
    clock: Arc<dyn Clock>,
}

type Answers = Vec<Result<Answer, SyncFailure>>;

impl MicrosoftGraph {
    pub fn new(http: Client, endpoints: GraphEndpoints, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            graph: endpoints,
            clock,
        }
    }

    fn request(&self, call: &Call, token: &SecretString) -> RequestBuilder {
        call.request(&self.http, token).header("Prefer", PREFER)
    }

    /// One read outside any change, charged here.
    async fn get(&self, access: Access<'_>, url: Url) -> Result<Answer, SyncFailure> {
        let call = Call::get(url);
        access.budget.charge(call.units)?;
        http::send(self.request(&call, access.token)).await
    }

    /// A read of the account itself, where "access denied" speaks of no single calendar.
    async fn get_of_account<T: DeserializeOwned>(
        &self,
        access: Access<'_>,
        url: Url,
    ) -> Result<T, SyncFailure> {
        let answer = self.get(access, url).await?;
        if answer.status.is_success() {
            return answer.json();
        }
        match classify(&answer, self.clock.now()) {
            SyncFailure::Permanent {
                code: FailureCode::CalendarReadOnly,
                ..
            } => Err(SyncFailure::NeedsReauth(ReauthReason::ScopeMissing)),
            failure => Err(failure),
        }
    }

    async fn send_batch(&self, access: Access<'_>, calls: &[&Call], order: Order) -> Answers {
        let batch = batch::compose(&self.graph, calls, order);
        let call = Call::new(Method::POST, self.graph.batch()).json(&batch);
        let failure = match http::send(self.request(&call, access.token)).await {
            Ok(answer) if answer.status.is_success() => {
                let answers = batch::read(&answer, calls.len()).into_iter();
                return answers.map(|item| item.ok_or_else(unanswered)).collect();
            }
            Ok(answer) => batch_refused(classify(&answer, self.clock.now())),
            Err(failure) => failure,
        };
        calls.iter().map(|_| Err(failure.clone())).collect()
    }

    /// One batch, side by side if the mailbox bears it and else as a chain. What a failure in the
    /// chain held back was never run: it is sent after it, as many at once as the mailbox bears.
    async fn batch(&self, access: Access<'_>, calls: &[Call]) -> Answers {
        let at_once = self.graph.concurrency_per_mailbox.max(1);
        let all: Vec<&Call> = calls.iter().collect();
        if all.len() <= at_once {
            return self.send_batch(access, &all, Order::SideBySide).await;
        }
        let mut answers = self.send_batch(access, &all, Order::OneByOne).await;
        let held_back: Vec<usize> = (0..answers.len())
            .filter(|place| is_held_back(&answers[*place]))
            .collect();
        for wave in held_back.chunks(at_once) {
            let wave_calls: Vec<&Call> = wave.iter().map(|place| all[*place]).collect();
            let units = wave_calls.iter().map(|call| call.units).sum();
            let stop = self.trouble_for_all(&answers);
            let sent = match stop.map_or_else(|| access.budget.charge(units), Err) {
                Ok(()) => {
                    self.send_batch(access, &wave_calls, Order::SideBySide)
                        .await
                }
                Err(failure) => wave.iter().map(|_| Err(failure.clone())).collect(),
            };
            for (place, answer) in wave.iter().zip(sent) {
                answers[*place] = answer;
            }
        }
        answers
    }

    /// A failure among the answers that every further call would meet as well.
    fn trouble_for_all(&self, answers: &Answers) -> Option<SyncFailure> {
        let now = self.clock.now();
        answers
            .iter()
            .filter_map(|answer| match answer {
                Ok(answer) if answer.status.is_success() => None,
                Ok(answer) => Some(classify(answer, now)),
                Err(failure) => Some(failure.clone()),
            })
            .find(|failure| match failure {
                SyncFailure::RateLimited { .. }
                | SyncFailure::NeedsReauth(_)
                | SyncFailure::Operator { .. } => true,
                SyncFailure::Retryable { .. }
                | SyncFailure::StaleTarget(_)
                | SyncFailure::Permanent { .. } => false,
            })
    }
}

fn is_held_back(answer: &Result<Answer, SyncFailure>) -> bool {
    matches!(answer, Ok(answer) if answer.status.as_u16() == 424)
}

#[async_trait]
impl Transport for MicrosoftGraph {
    async fn exchange(&self, access: Access<'_>, calls: &[Call]) -> Answers {
        if let [call] = calls {
            return vec![http::send(self.request(call, access.token)).await];
        }
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(batch::MAX_ITEMS) {
            answers.extend(self.batch(access, calls).await);
        }
        answers
    }
}

#[async_trait]
impl CalendarProvider for MicrosoftGraph {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Outlook
    }

    fn max_batch(&self) -> usize {
        batch::MAX_ITEMS
    }

    fn units(&self, change: &Change) -> u32 {
        ChangeScript::start(&self.graph, change).units()
    }

    fn planned_event_id(&self, _: &CreateKey) -> Option<EventId> {
        None
    }

    async fn perform(
        &self,
        access: Access<'_>,
        changes: &[Change],
    ) -> Vec<Result<Done, SyncFailure>> {
        let first = changes
            .iter()
            .map(|change| ChangeScript::start(&self.graph, change))
            .collect();
        script::run(self, access, &*self.clock, first).await
    }

    async fn account(&self, access: Access<'_>) -> Result<Account, SyncFailure> {
        let user: User = self.get_of_account(access, self.graph.me()).await?;
        let mail = user.mail.filter(|mail| !mail.is_empty());
        match (user.id, mail.or(user.user_principal_name)) {
            (Some(id), Some(email)) if !id.is_empty() => Ok(Account { id, email }),
            _ => Err(SyncFailure::retryable(
                FailureCode::BadAnswer,
                "Microsoft did not say whose account this is",
            )),
        }
    }

    async fn calendars(&self, access: Access<'_>) -> Result<Vec<Calendar>, SyncFailure> {
        let mut calendars = Vec::new();
        let mut next = Some(self.graph.calendars());
        for _ in 0..MAX_CALENDAR_PAGES {
            let Some(url) = next else { break };
            let page: Page<CalendarEntry> = self.get_of_account(access, url).await?;
            calendars.extend(
                page.value
                    .into_iter()
                    .map(convert::calendar)
                    .filter_map(|(calendar, writable)| writable.then_some(calendar)),
            );
            next = page.next.and_then(|link| self.graph.next_page(&link));
        }
        calendars.sort_by_key(|calendar| !calendar.primary);
        Ok(calendars)
    }

    async fn calendar(
        &self,
        access: Access<'_>,
        id: &CalendarId,
    ) -> Result<Option<Calendar>, SyncFailure> {
        let answer = self.get(access, self.graph.calendar(id)).await?;
        let now = self.clock.now();
        if is_gone(&answer, now) {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(classify(&answer, now));
        }
        match convert::calendar(answer.json::<CalendarEntry>()?) {
            (calendar, true) => Ok(Some(calendar)),
            (_, false) => Err(SyncFailure::permanent(
                FailureCode::CalendarReadOnly,
                "the calendar can be read but not written to",
            )),
        }
    }
}
