//! Limited by the provider: the wait is kept to the second, and held against nobody's work.

use calendar_integration::domain::{ProviderKind, Timestamp};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule};
use chrono::TimeDelta;
use futures::future::join_all;
use futures::stream::{self, StreamExt};

use super::case::{AT_ONCE, Case, next_due, nothing_more_happens, wait_out};
use crate::support::{Setup, TestDaemon, eventually};

/// How a provider says that it is enough for now.
#[derive(Clone)]
struct Limited {
    status: u16,
    code: Option<&'static str>,
    retry_after: Option<String>,
    /// Nobody calls before this has passed.
    wait: TimeDelta,
}

impl Limited {
    fn effect(&self) -> FaultEffect {
        FaultEffect::Status {
            status: self.status,
            code: self.code.map(str::to_owned),
            retry_after: self.retry_after.clone(),
        }
    }

    fn what(&self) -> String {
        let code = self.code.unwrap_or("no code");
        let wait = self.retry_after.as_deref().unwrap_or("none");
        format!("{} {code}, Retry-After {wait:?}", self.status)
    }
}

/// Every form of the header, and what of it is believed.
fn forms(daemon: &TestDaemon) -> Vec<(Option<String>, TimeDelta)> {
    let date = daemon.now() + TimeDelta::seconds(90);
    let past = daemon.now() - TimeDelta::seconds(90);
    let http = "%a, %d %b %Y %H:%M:%S GMT";
    // What says nothing is waited out for a while of our own choosing.
    let unsaid = TimeDelta::seconds(10);
    vec![
        (Some("30".into()), TimeDelta::seconds(30)),
        (Some("2.5".into()), TimeDelta::milliseconds(2500)),
        (Some(date.format(http).to_string()), TimeDelta::seconds(90)),
        (Some(past.format(http).to_string()), unsaid),
        (Some("86400".into()), TimeDelta::hours(24)),
        // Longer than a day is asked again after a day.
        (Some("31536000".into()), TimeDelta::hours(24)),
        (Some("soon, perhaps".into()), unsaid),
        (Some("-5".into()), unsaid),
        (Some("0".into()), unsaid),
        (None, unsaid),
    ]
}

fn rows(daemon: &TestDaemon, provider: ProviderKind) -> Vec<Limited> {
    let others: &[(u16, &'static str)] = match provider {
        ProviderKind::Google => &[(403, "rateLimitExceeded"), (403, "userRateLimitExceeded")],
        ProviderKind::Outlook => &[(429, "ApplicationThrottled")],
    };
    let row = |status, code, (retry_after, wait)| Limited {
        status,
        code,
        retry_after,
        wait,
    };
    let forms = forms(daemon);
    let usual = forms.iter().cloned().map(|form| row(429, None, form));
    let mut rows: Vec<Limited> = usual.collect();
    for (status, code) in others {
        for form in [forms.first(), forms.last()].into_iter().flatten() {
            rows.push(row(*status, Some(*code), form.clone()));
        }
    }
    if provider == ProviderKind::Google {
        // What an account may create in all refills over hours, whatever is said of seconds.
        rows.extend([None, Some("30".to_owned())].map(|retry_after| Limited {
            status: 403,
            code: Some("quotaExceeded"),
            retry_after,
            wait: TimeDelta::hours(1),
        }));
    }
    // Overloaded, and saying until when.
    rows.push(Limited {
        status: 503,
        code: None,
        retry_after: Some("45".into()),
        wait: TimeDelta::seconds(45),
    });
    rows
}

#[tokio::test]
async fn every_form_of_a_limit_is_waited_out_and_costs_no_attempt() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut rows_of = Vec::new();
    for provider in ProviderKind::ALL {
        rows_of.extend(
            rows(&daemon, provider)
                .into_iter()
                .map(|row| (provider, row)),
        );
    }
    let tell = async |(provider, row): &(ProviderKind, Limited)| {
        let mut case = Case::connected(&daemon, *provider, row.what()).await;
        let limited = case.once(&daemon, CallKind::Create, row.effect());
        case.report_new(&daemon).await;
        eventually(&format!("{}: it was limited", case.what), async || {
            next_due(&case.jobs(&daemon).await, daemon.now())
        })
        .await;
        case.met(&daemon, limited);
        // More work and a push of the button do not shorten the wait.
        case.report_new(&daemon).await;
        daemon.service().sync_now(case.id).await;
        case
    };
    let told = stream::iter(rows_of.iter().map(tell));
    let cases: Vec<Case> = told.buffered(AT_ONCE).collect().await;
    let rows: Vec<(&Case, &Limited)> = cases
        .iter()
        .zip(rows_of.iter().map(|(_, row)| row))
        .collect();
    let mut waits: Vec<TimeDelta> = rows.iter().map(|(_, row)| row.wait).collect();
    waits.sort_unstable();
    waits.dedup();
    let start = daemon.now();
    for wait in waits {
        // Just before the end, with time enough for those who do not wait.
        daemon.advance(start + wait - TimeDelta::seconds(1) - daemon.now());
        let mut other = Case::connected(&daemon, ProviderKind::Google, "not limited").await;
        other.report_new(&daemon).await;
        other.converges(&daemon).await;
        for (case, _) in rows.iter().filter(|(_, row)| row.wait >= wait) {
            let calls = case.event_calls(&daemon);
            assert_eq!(calls.len(), 1, "{}: {calls:?}", case.what);
        }
        // And past it, with the second or so by which they do not all come at once.
        daemon.advance(TimeDelta::milliseconds(3500));
        let over = rows.iter().filter(|(_, row)| row.wait == wait);
        join_all(over.map(|(case, _)| case.converges(&daemon))).await;
    }
    for (case, row) in rows {
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
        let calls = case.event_calls(&daemon);
        let pause = calls[1].at - calls[0].at;
        assert!(pause >= row.wait, "{}: called {pause} after it", case.what);
    }
    nothing_more_happens(&daemon, &cases).await;
}

/// A limit of Google's on our whole project: everybody waits, the others' work as well.
#[tokio::test]
async fn a_limit_of_the_project_holds_for_all_its_accounts() {
    let daemon = Setup::with_manual_clock().start().await;
    // The day of the limit ends at midnight in California. On PostgreSQL nodes tell each other of it
    // in the database's time, which no story can move: so it is told shortly before.
    let midnight: Timestamp = "2027-01-12T08:00:00Z".parse().expect("a time");
    daemon.advance(midnight - TimeDelta::seconds(3) - daemon.now());
    let mut limited = Case::connected(&daemon, ProviderKind::Google, "limited").await;
    let mut other = Case::connected(&daemon, ProviderKind::Google, "of the same project").await;
    let mut apart = Case::connected(&daemon, ProviderKind::Outlook, "of no project").await;
    let over = FaultEffect::Status {
        status: 403,
        code: Some("dailyLimitExceeded".to_owned()),
        retry_after: None,
    };
    limited.once(&daemon, CallKind::Create, over);
    limited.report_new(&daemon).await;
    eventually("it was limited", async || {
        next_due(&limited.jobs(&daemon).await, daemon.now())
    })
    .await;
    other.report_new(&daemon).await;
    apart.report_new(&daemon).await;
    apart.converges(&daemon).await;
    let cases = [limited, other, apart];
    wait_out(&daemon).await;
    for case in &cases {
        case.converges(&daemon).await;
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
    }
    for case in &cases[..2] {
        let calls = case.event_calls(&daemon);
        let made = calls.last().expect("a call").at;
        assert!(made >= midnight, "{}: {calls:?}", case.what);
    }
    assert_eq!(cases[1].event_calls(&daemon).len(), 1);
    nothing_more_happens(&daemon, &cases).await;
}

/// The same of the endpoint that gives tokens.
#[tokio::test]
async fn a_limited_token_endpoint_is_waited_for_and_parks_nobody() {
    let daemon = Setup::with_manual_clock().start().await;
    let mut forms = forms(&daemon);
    // The fraction, the past and the negative are told above.
    forms.retain(|(form, _)| !matches!(form.as_deref(), Some("2.5" | "0" | "-5")));
    let pairs = forms
        .iter()
        // A day without access is told elsewhere: here all wait for the same token's end.
        .filter(|(_, wait)| *wait < TimeDelta::hours(1))
        .flat_map(|form| ProviderKind::ALL.map(|provider| (provider, form)));
    let pairs: Vec<_> = pairs.collect();
    let connected = pairs.iter().map(async |(provider, (form, _))| {
        let what = format!("a refresh, Retry-After {form:?}");
        let case = Case::connected(&daemon, *provider, what).await;
        case.once(
            &daemon,
            CallKind::Refresh,
            FaultEffect::Status {
                status: 429,
                code: None,
                retry_after: form.clone(),
            },
        );
        case
    });
    let mut cases = join_all(connected).await;
    daemon.advance(TimeDelta::hours(2));
    for case in &mut cases {
        case.report_new(&daemon).await;
    }
    eventually("all are there", async || {
        let quiet = join_all(cases.iter().map(|case| case.is_quiet(&daemon))).await;
        daemon.advance(TimeDelta::milliseconds(500));
        quiet.iter().all(Option::is_some).then_some(())
    })
    .await;
    for (case, (_, (_, wait))) in cases.iter().zip(&pairs) {
        case.converges(&daemon).await;
        assert_eq!(case.attempts(&daemon).await, 0, "{}", case.what);
        let calls = case.calls(&daemon);
        let mut refreshes = calls
            .iter()
            .filter(|call| call.operation == CallKind::Refresh);
        let (first, second) = (refreshes.next(), refreshes.next());
        let (first, second) = (first.expect("one"), second.expect("another"));
        // A date was said before two hours went by.
        let is_past = case.what.contains("GMT");
        assert!(is_past || second.at - first.at >= *wait, "{}", case.what);
        assert!(refreshes.next().is_none(), "{}: {calls:?}", case.what);
    }
    nothing_more_happens(&daemon, &cases).await;
}

/// Being limited again and again, for longer than attempts would last.
#[tokio::test]
async fn no_number_of_limits_makes_a_job_fail() {
    let daemon = Setup::with_manual_clock()
        .set("SYNC_MAX_ATTEMPTS", "2")
        .start()
        .await;
    let mut cases = Vec::new();
    for provider in ProviderKind::ALL {
        let mut case = Case::connected(&daemon, provider, "limited twelve times").await;
        let limit = FaultRule::always(FaultEffect::too_many_requests("20")).times(12);
        case.trouble(&daemon, limit.at(CallKind::Create));
        case.report_new(&daemon).await;
        cases.push(case);
    }
    wait_out(&daemon).await;
    for case in &cases {
        case.converges(&daemon).await;
        assert_eq!(case.count(&daemon, CallKind::Create), 13, "{}", case.what);
    }
    nothing_more_happens(&daemon, &cases).await;
}
