//! [`CalendarProvider`] for Google: sending, and reading the account and its calendars.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use url::Url;

use super::change::ChangeScript;
use super::failure::classify;
use super::routes::GoogleEndpoints;
use super::wire::{CalendarEntry, CalendarList, UserInfo};
use super::{batch, convert};
use crate::domain::{
    Calendar, CalendarId, Clock, CreateKey, EventId, FailureCode, ProviderKind, SyncFailure,
};
use crate::provider::http::{self, Answer};
use crate::provider::script::{self, Call, Transport, batch_refused, unanswered};
use crate::provider::{Access, Account, CalendarProvider, Change, Done};

/// 250 calendars each; an account cannot have nearly as many.
const MAX_CALENDAR_PAGES: usize = 20;

/// Google Calendar as a [`CalendarProvider`].
#[derive(Debug)]
pub struct GoogleCalendar {
    http: Client,
    google: GoogleEndpoints,
    clock: Arc<dyn Clock>,
}

impl GoogleCalendar {
    pub fn new(http: Client, endpoints: GoogleEndpoints, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            google: endpoints,
            clock,
        }
    }

    /// One read outside any change, charged here.
    async fn get(&self, access: Access<'_>, url: Url) -> Result<Answer, SyncFailure> {
        let call = Call::get(url);
        access.budget.charge(call.units)?;
        http::send(call.request(&self.http, access.token)).await
    }

    async fn get_json<T: DeserializeOwned>(
        &self,
        access: Access<'_>,
        url: Url,
    ) -> Result<T, SyncFailure> {
        let answer = self.get(access, url).await?;
        if answer.status.is_success() {
            answer.json()
        } else {
            Err(classify(&answer, self.clock.now()))
        }
    }

    async fn send_batch(
        &self,
        access: Access<'_>,
        calls: &[Call],
    ) -> Vec<Result<Answer, SyncFailure>> {
        let (content_type, body) = batch::compose(&self.google, calls);
        let request = self
            .http
            .request(Method::POST, self.google.batch())
            .bearer_auth(access.token.expose_secret())
            .header(CONTENT_TYPE, content_type)
            .body(body);
        let failure = match http::send(request).await {
            Ok(answer) if answer.status.is_success() => {
                let answers = batch::read(answer, calls.len()).into_iter();
                return answers.map(|part| part.ok_or_else(unanswered)).collect();
            }
            Ok(answer) => batch_refused(classify(&answer, self.clock.now())),
            Err(failure) => failure,
        };
        calls.iter().map(|_| Err(failure.clone())).collect()
    }
}

#[async_trait]
impl Transport for GoogleCalendar {
    async fn exchange(
        &self,
        access: Access<'_>,
        calls: &[Call],
    ) -> Vec<Result<Answer, SyncFailure>> {
        if let [call] = calls {
            return vec![http::send(call.request(&self.http, access.token)).await];
        }
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(batch::MAX_PARTS) {
            answers.extend(self.send_batch(access, calls).await);
        }
        answers
    }
}

#[async_trait]
impl CalendarProvider for GoogleCalendar {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Google
    }

    fn max_batch(&self) -> usize {
        batch::MAX_PARTS
    }

    fn units(&self, change: &Change) -> u32 {
        ChangeScript::start(&self.google, change).units()
    }

    fn planned_event_id(&self, key: &CreateKey) -> Option<EventId> {
        Some(EventId(key.base32hex()))
    }

    async fn perform(
        &self,
        access: Access<'_>,
        changes: &[Change],
    ) -> Vec<Result<Done, SyncFailure>> {
        let first = changes
            .iter()
            .map(|change| ChangeScript::start(&self.google, change))
            .collect();
        script::run(self, access, &*self.clock, first).await
    }

    async fn account(&self, access: Access<'_>) -> Result<Account, SyncFailure> {
        let user: UserInfo = self.get_json(access, self.google.userinfo.clone()).await?;
        match (user.id.or(user.sub), user.email) {
            (Some(id), Some(email)) if !id.is_empty() => Ok(Account { id, email }),
            _ => Err(SyncFailure::retryable(
                FailureCode::BadAnswer,
                "Google did not say whose account this is",
            )),
        }
    }

    async fn calendars(&self, access: Access<'_>) -> Result<Vec<Calendar>, SyncFailure> {
        let mut calendars = Vec::new();
        let mut page = None;
        for _ in 0..MAX_CALENDAR_PAGES {
            let url = self.google.calendars(page.as_deref());
            let list: CalendarList = self.get_json(access, url).await?;
            calendars.extend(
                list.items
                    .into_iter()
                    .map(convert::calendar)
                    .filter_map(|(calendar, writable)| writable.then_some(calendar)),
            );
            page = list.next_page_token;
            if page.is_none() {
                break;
            }
        }
        calendars.sort_by_key(|calendar| !calendar.primary);
        Ok(calendars)
    }

    async fn calendar(
        &self,
        access: Access<'_>,
        id: &CalendarId,
    ) -> Result<Option<Calendar>, SyncFailure> {
        let answer = self.get(access, self.google.calendar(id)).await?;
        if matches!(answer.status.as_u16(), 404 | 410) {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(classify(&answer, self.clock.now()));
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
