//! Whether this machine's clock goes with those of the database and of the providers: tokens and due times
//! are told in absolute time.

use chrono::TimeDelta;
use reqwest::header::DATE;
use url::Url;

use super::{Finding, Verdict};
use crate::domain::{SystemClock, Timestamp};
use crate::store::Store;

/// API tokens are believed so long before and after their time.
const TOLERATED: TimeDelta = TimeDelta::seconds(60);
/// Beyond what an answer's way and the whole seconds of a `Date` explain.
const NOTICEABLE: TimeDelta = TimeDelta::seconds(5);

/// `None` for SQLite, which has no clock, and where nothing was answered: that is said elsewhere.
pub(super) async fn of_database(store: &Store) -> Option<Finding> {
    let clock = SystemClock::shared();
    let asked = clock.now();
    let theirs = store.time().await.ok()??;
    Some(judge(
        "clock against the database",
        asked,
        theirs,
        clock.now(),
    ))
}

/// Asks for nothing but the `Date` of the answer, whatever else that says. `None` without an answer.
pub(super) async fn of_provider(
    provider: &str,
    http: &reqwest::Client,
    url: &Url,
) -> Option<Finding> {
    let clock = SystemClock::shared();
    let asked = clock.now();
    let answer = http.head(url.clone()).send().await.ok()?;
    let subject = format!("clock against {provider}");
    let date = answer.headers().get(DATE);
    let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let Some(theirs) = date.map(Timestamp::from) else {
        return Some(Finding::new(
            Verdict::Doubtful,
            &subject,
            "could not be compared: its answer bears no Date",
            "see that no proxy in between takes the header Date away, and compare the clocks by hand",
        ));
    };
    Some(judge(&subject, asked, theirs, clock.now()))
}

fn judge(subject: &str, asked: Timestamp, theirs: Timestamp, answered: Timestamp) -> Finding {
    // Their time was read somewhere in between.
    let off = if theirs < asked {
        theirs - asked
    } else {
        (theirs - answered).max(TimeDelta::zero())
    };
    let seconds = off.abs().num_seconds();
    let side = if off < TimeDelta::zero() {
        "ahead"
    } else {
        "behind"
    };
    let remedy = "let the machine's clock follow NTP (systemd-timesyncd or chrony), and see that the \
                  other one's does, too";
    match off.abs() {
        off if off > TOLERATED => Finding::new(
            Verdict::Bad,
            subject,
            format!("this machine is {seconds} s {side}; tokens are refused beyond 60 s"),
            remedy,
        ),
        off if off > NOTICEABLE => Finding::new(
            Verdict::Doubtful,
            subject,
            format!("this machine is {seconds} s {side}"),
            remedy,
        ),
        _ => Finding::good(subject, "they agree"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_found_in_either_direction() {
        let at = |second: i64| Timestamp::UNIX_EPOCH + TimeDelta::seconds(second);
        for (theirs, answered, verdict, words) in [
            (100, 100, Verdict::Good, "agree"),
            // A slow answer is no skew.
            (130, 140, Verdict::Good, "agree"),
            (90, 101, Verdict::Doubtful, "10 s ahead"),
            (131, 101, Verdict::Doubtful, "30 s behind"),
            (20, 100, Verdict::Bad, "80 s ahead"),
            (4_000, 101, Verdict::Bad, "3899 s behind"),
        ] {
            let finding = judge("clock", at(100), at(theirs), at(answered));
            assert_eq!(finding.verdict, verdict, "{theirs}: {finding:?}");
            assert!(finding.detail.contains(words), "{finding:?}");
            assert_eq!(finding.remedy.is_none(), verdict == Verdict::Good);
        }
    }

    #[tokio::test]
    async fn a_provider_whose_clock_is_another_is_found() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!(
            "http://{}/token",
            listener.local_addr().expect("an address")
        );
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let _ = client.read(&mut [0; 1024]).await;
            let answer = "HTTP/1.1 405 No\r\ndate: Sun, 01 Nov 2020 12:00:00 GMT\r\n\
                          content-length: 0\r\n\r\n";
            let _ = client.write_all(answer.as_bytes()).await;
        });
        let url = Url::parse(&url).expect("a URL");
        let http = crate::provider::http::client().expect("a client");
        let finding = of_provider("Google", &http, &url).await;
        let finding = finding.expect("it answers");
        assert_eq!(finding.verdict, Verdict::Bad, "{finding:?}");
        assert_eq!(finding.subject, "clock against Google");
    }
}
