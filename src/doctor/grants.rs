//! Whether Google's consent screen is still in "Testing": then every grant ends seven days after consent.
//! No interface of Google's tells; the history does.

use chrono::TimeDelta;

use super::{Finding, Verdict};
use crate::domain::{ProviderKind, Timestamp};
use crate::store::{GrantHistory, Store};

/// How long Google lets a grant of an unpublished project live.
const TESTING: TimeDelta = TimeDelta::days(7);
/// It shows at the next refresh after that, an hour later at most where there is work.
const SHOWS_WITHIN: TimeDelta = TimeDelta::days(1);
/// Fewer may be chance.
const ENOUGH: usize = 2;

pub(super) async fn examine(store: &Store, now: Timestamp) -> Option<Finding> {
    let histories = store.grant_histories(ProviderKind::Google).await.ok()?;
    judge(&histories, now)
}

/// `None` while there is too little to say anything.
fn judge(histories: &[GrantHistory], now: Timestamp) -> Option<Finding> {
    const SUBJECT: &str = "Google consent screen";
    let ended_on_time = |history: &&GrantHistory| {
        history.refused_at.is_some_and(|at| {
            let lived = at - history.connected_at;
            (TESTING..TESTING + SHOWS_WITHIN).contains(&lived)
        })
    };
    let outlived = |history: &&GrantHistory| {
        let lived = history.refused_at.unwrap_or(now) - history.connected_at;
        lived >= TESTING + SHOWS_WITHIN
    };
    let ended = histories.iter().filter(ended_on_time).count();
    let outlived = histories.iter().filter(outlived).count();
    if ended >= ENOUGH && ended > outlived {
        return Some(Finding::new(
            Verdict::Bad,
            SUBJECT,
            format!("{ended} grants ended seven days after consent: it seems to be in \"Testing\""),
            "publish it (\"In production\") in the Google Cloud console, then have these coaches \
             sign in again",
        ));
    }
    (outlived > 0).then(|| Finding::good(SUBJECT, format!("{outlived} grants outlived seven days")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn ended(after: i64) -> GrantHistory {
        GrantHistory {
            connected_at: hours(0),
            refused_at: Some(hours(after)),
        }
    }

    fn verdict(histories: &[GrantHistory], now: i64) -> Option<Verdict> {
        judge(histories, hours(now)).map(|finding| finding.verdict)
    }

    #[test]
    fn grants_that_end_after_seven_days_betray_the_testing_mode() {
        let holds = GrantHistory {
            connected_at: hours(0),
            refused_at: None,
        };
        let day = 24;
        assert_eq!(verdict(&[], 0), None);
        assert_eq!(verdict(&[ended(7 * day)], 300), None, "one may be chance");
        let two = [ended(7 * day), ended(7 * day + 5)];
        assert_eq!(verdict(&two, 300), Some(Verdict::Bad));
        // Coaches who revoke do so at any time.
        assert_eq!(verdict(&[ended(3 * day), ended(20)], 300), None);
        let old = [holds, holds, holds, ended(7 * day), ended(7 * day)];
        assert_eq!(verdict(&old, 10 * day), Some(Verdict::Good));
        // Not yet old enough to say anything.
        assert_eq!(verdict(&[holds], 6 * day), None);
    }
}
