//! Whether Google's consent screen is still in "Testing": then every grant ends seven days after consent.
//! No interface of Google's tells; the history does.

use chrono::TimeDelta;

use super::{Finding, Verdict};
use crate::domain::ProviderKind;
use crate::store::{GrantHistory, Store};

/// How long Google lets a grant of an unpublished project live.
const TESTING: TimeDelta = TimeDelta::days(7);
/// It shows at the next refresh after that, an hour later at most where there is work.
const SHOWS_WITHIN: TimeDelta = TimeDelta::days(1);
/// Fewer may be chance.
const ENOUGH: usize = 2;

pub(super) async fn examine(store: &Store) -> Option<Finding> {
    let histories = store.grant_histories(ProviderKind::Google).await.ok()?;
    judge(&histories)
}

/// `None` while there is too little to say anything.
fn judge(histories: &[GrantHistory]) -> Option<Finding> {
    const SUBJECT: &str = "Google consent screen";
    let ended_on_time = |history: &&GrantHistory| {
        history.refused_at.is_some_and(|at| {
            let lived = at - history.connected_at;
            (TESTING..TESTING + SHOWS_WITHIN).contains(&lived)
        })
    };
    // Where there is no work nobody asks whether a grant still holds: only tokens prove that it does.
    let outlived = |history: &&GrantHistory| {
        let last = history.last_tokens_at;
        last.is_some_and(|at| at - history.connected_at > TESTING)
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
    use crate::domain::Timestamp;

    fn hours(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn ended(after: i64) -> GrantHistory {
        GrantHistory {
            connected_at: hours(0),
            last_tokens_at: Some(hours(after - 1)),
            refused_at: Some(hours(after)),
        }
    }

    fn holds(last_tokens: i64) -> GrantHistory {
        GrantHistory {
            connected_at: hours(0),
            last_tokens_at: Some(hours(last_tokens)),
            refused_at: None,
        }
    }

    fn verdict(histories: &[GrantHistory]) -> Option<Verdict> {
        judge(histories).map(|finding| finding.verdict)
    }

    #[test]
    fn grants_that_end_after_seven_days_betray_the_testing_mode() {
        let day = 24;
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[ended(7 * day)]), None, "one may be chance");
        let two = [ended(7 * day), ended(7 * day + 5)];
        assert_eq!(verdict(&two), Some(Verdict::Bad));
        // Coaches who revoke do so at any time.
        assert_eq!(verdict(&[ended(3 * day), ended(20)]), None);
        let lasting = holds(8 * day);
        let old = [lasting, lasting, lasting, ended(7 * day), ended(7 * day)];
        assert_eq!(verdict(&old), Some(Verdict::Good));
        // Whoever has no work since the third day says nothing, however long ago that is.
        let idle = holds(3 * day);
        assert_eq!(verdict(&[idle, idle, idle]), None);
        let idle = [idle, idle, idle, ended(7 * day), ended(7 * day)];
        assert_eq!(verdict(&idle), Some(Verdict::Bad));
    }
}
