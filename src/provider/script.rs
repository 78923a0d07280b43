//! Changes as scripts: what to call next is decided without I/O, the calling is done in rounds.
//!
//! Owns [`Call`] (one request, not yet sent), [`Script`] (a pure state machine per change) and
//! [`run`], which carries all open changes from round to round, so that follow-ups of several
//! changes share a batch as the first calls do. Leaves the wire to each provider's [`Transport`].

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderValue, IF_MATCH};
use reqwest::{Client, Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::http::Answer;
use super::{Access, Budget, Done};
use crate::domain::{Clock, Etag, FailureCode, SyncFailure, Timestamp};

/// One request to a provider. It may hold client details: it has no `Debug`.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) if_match: Option<HeaderValue>,
    pub(super) body: Option<Value>,
    /// What the provider charges for it.
    pub(super) units: u32,
}

impl Call {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            if_match: None,
            body: None,
            units: 1,
        }
    }

    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(
            serde_json::to_value(body).expect("our wire structs hold only strings, lists and maps"),
        );
        self
    }

    /// The call as a request of its own, outside any batch.
    pub(super) fn request(&self, http: &Client, token: &SecretString) -> RequestBuilder {
        let mut request = http
            .request(self.method.clone(), self.url.clone())
            .bearer_auth(token.expose_secret());
        if let Some(etag) = &self.if_match {
            request = request.header(IF_MATCH, etag);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        request
    }
}

/// The version as a header value; `None` if it could not be one, for instance with a line break.
pub(super) fn header_value(etag: Option<&Etag>) -> Option<HeaderValue> {
    HeaderValue::from_str(etag?.as_str()).ok()
}

/// What follows an answer.
pub(super) enum Step<S> {
    Call(Call, S),
    End(Result<Done, SyncFailure>),
}

impl<S> Step<S> {
    pub(super) fn fail(failure: SyncFailure) -> Self {
        Self::End(Err(failure))
    }

    /// Quota units of the call, if there is one.
    pub(super) fn units(&self) -> u32 {
        match self {
            Self::Call(call, _) => call.units,
            Self::End(_) => 0,
        }
    }
}

/// One change under way. Every path through it ends after a bounded number of calls.
pub(super) trait Script: Sized + Send {
    fn read(self, answer: &Answer, now: Timestamp) -> Step<Self>;
}

/// How calls travel to a provider.
#[async_trait]
pub(super) trait Transport: Sync {
    /// Sends calls that do not depend on each other; answers each in its place.
    async fn exchange(
        &self,
        access: Access<'_>,
        calls: &[Call],
    ) -> Vec<Result<Answer, SyncFailure>>;
}

/// How long the next call of a change waits for our own limiter. One for a very small quota refills
/// the units of a PATCH in that time.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Carries out the changes. The first calls are charged already, all others here.
pub(super) async fn run<S: Script>(
    transport: &impl Transport,
    access: Access<'_>,
    clock: &dyn Clock,
    first: Vec<Step<S>>,
) -> Vec<Result<Done, SyncFailure>> {
    let mut results: Vec<Option<Result<Done, SyncFailure>>> = Vec::new();
    results.resize_with(first.len(), || None);
    let mut calls = Vec::new();
    let mut open = Vec::new();
    for (place, step) in first.into_iter().enumerate() {
        match step {
            Step::Call(call, script) => {
                calls.push(call);
                open.push((place, script));
            }
            Step::End(result) => results[place] = Some(result),
        }
    }
    while !calls.is_empty() {
        let answers = transport.exchange(access, &calls).await;
        calls.clear();
        for ((place, script), answer) in std::mem::take(&mut open).into_iter().zip(answers) {
            let step = match answer {
                Ok(answer) => script.read(&answer, clock.now()),
                Err(failure) => Step::fail(failure),
            };
            match step {
                Step::Call(call, script) => match afford(access.budget, clock, call.units).await {
                    Ok(()) => {
                        calls.push(call);
                        open.push((place, script));
                    }
                    Err(failure) => results[place] = Some(Err(failure)),
                },
                Step::End(result) => results[place] = Some(result),
            }
        }
    }
    results
        .into_iter()
        .map(|result| result.unwrap_or_else(|| Err(unanswered())))
        .collect()
}

/// What has begun is finished: a change that is put off for want of a few units begins anew, and if its
/// first call takes them again each time, it never ends.
async fn afford(budget: &dyn Budget, clock: &dyn Clock, units: u32) -> Result<(), SyncFailure> {
    let deadline = clock.monotonic() + PATIENCE;
    loop {
        let charged = budget.charge(units);
        let Err(SyncFailure::RateLimited {
            until: Some(until), ..
        }) = &charged
        else {
            return charged;
        };
        let left = (*until - clock.now()).to_std().unwrap_or_default();
        if clock.monotonic() + left > deadline {
            return charged;
        }
        clock.sleep(left.max(SHORTEST_PAUSE)).await;
    }
}

/// A batch answer without this call's part: whether it took effect is unknown.
pub(super) fn unanswered() -> SyncFailure {
    SyncFailure::retryable(
        FailureCode::BadAnswer,
        "the provider's batch answer left this change out",
    )
}

/// What a refusal of a batch as a whole means for its calls: nothing that blames one of them.
pub(super) fn batch_refused(failure: SyncFailure) -> SyncFailure {
    match failure {
        SyncFailure::RateLimited { .. }
        | SyncFailure::NeedsReauth(_)
        | SyncFailure::Operator { .. }
        | SyncFailure::Retryable {
            code: FailureCode::ServerError | FailureCode::Timeout,
            ..
        } => failure,
        SyncFailure::Retryable { .. }
        | SyncFailure::StaleTarget(_)
        | SyncFailure::Permanent { .. } => SyncFailure::retryable(
            FailureCode::BadAnswer,
            "the provider refused a batch of changes as a whole",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use chrono::TimeDelta;
    use futures::FutureExt;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::domain::{ManualClock, RateScope};

    /// Asks as many more calls as it holds, then is done.
    struct Countdown(u32);

    fn call() -> Call {
        Call::get("http://provider.test".parse().expect("an address"))
    }

    fn calls_left(more: u32) -> Step<Countdown> {
        match more.checked_sub(1) {
            Some(rest) => Step::Call(call(), Countdown(rest)),
            None => Step::End(Ok(Done::Gone)),
        }
    }

    impl Script for Countdown {
        fn read(self, _: &Answer, _: Timestamp) -> Step<Self> {
            calls_left(self.0)
        }
    }

    /// Answers everything and notes how many calls came together.
    struct Echo(Mutex<Vec<usize>>);

    #[async_trait]
    impl Transport for Echo {
        async fn exchange(
            &self,
            _: Access<'_>,
            calls: &[Call],
        ) -> Vec<Result<Answer, SyncFailure>> {
            self.0.lock().expect("a lock").push(calls.len());
            let answer = || Answer {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Vec::new(),
            };
            calls.iter().map(|_| Ok(answer())).collect()
        }
    }

    struct Allowance(Mutex<u32>);

    impl Budget for Allowance {
        fn charge(&self, units: u32) -> Result<(), SyncFailure> {
            let mut left = self.0.lock().expect("a lock");
            *left = left.checked_sub(units).ok_or(exhausted())?;
            Ok(())
        }
    }

    fn exhausted() -> SyncFailure {
        SyncFailure::RateLimited {
            until: None,
            scope: RateScope::Connection,
        }
    }

    fn play(budget: u32, changes: &[u32]) -> (Vec<usize>, Vec<Result<Done, SyncFailure>>) {
        let echo = Echo(Mutex::new(Vec::new()));
        let token = "token".into();
        let access = Access {
            token: &token,
            budget: &Allowance(Mutex::new(budget)),
        };
        let clock = ManualClock::starting_at(chrono::DateTime::UNIX_EPOCH);
        let first = changes.iter().map(|calls| calls_left(*calls)).collect();
        let results = run(&echo, access, &*clock, first).now_or_never();
        let rounds = echo.0.into_inner().expect("a lock");
        (rounds, results.expect("nothing to wait for"))
    }

    #[test]
    fn follow_ups_of_several_changes_travel_together() {
        let (rounds, results) = play(9, &[1, 0, 3, 2]);
        assert_eq!(rounds, [3, 2, 1]);
        assert_eq!(results, vec![Ok(Done::Gone); 4]);
    }

    /// Has something again at this moment.
    struct Later(Arc<ManualClock>, Timestamp);

    impl Budget for Later {
        fn charge(&self, _: u32) -> Result<(), SyncFailure> {
            let until = Some(self.1).filter(|until| *until > self.0.now());
            until.map_or(Ok(()), |_| {
                Err(SyncFailure::RateLimited {
                    until,
                    scope: RateScope::Connection,
                })
            })
        }
    }

    #[tokio::test]
    async fn a_change_that_has_begun_waits_for_what_it_needs_but_not_for_long() {
        for (seconds, ends_well) in [(15, true), (25, false)] {
            let echo = Echo(Mutex::new(Vec::new()));
            let clock = ManualClock::starting_at(chrono::DateTime::UNIX_EPOCH);
            let budget = Later(clock.clone(), clock.now() + TimeDelta::seconds(seconds));
            let token = "token".into();
            let access = Access {
                token: &token,
                budget: &budget,
            };
            let mut running = Box::pin(run(&echo, access, &*clock, vec![calls_left(3)]));
            let at_once = (&mut running).now_or_never();
            assert_eq!(at_once.is_none(), ends_well, "{seconds} s");
            let results = match at_once {
                Some(results) => results,
                None => {
                    clock.advance(Duration::from_secs(15));
                    running.await
                }
            };
            assert_eq!(results[0].is_ok(), ends_well, "{results:?}");
        }
    }

    #[test]
    fn a_follow_up_beyond_the_budget_ends_its_change_and_no_other() {
        let (rounds, results) = play(1, &[2, 2, 1]);
        assert_eq!(rounds, [3, 1]);
        assert_eq!(results, [Ok(Done::Gone), Err(exhausted()), Ok(Done::Gone)]);
    }
}
