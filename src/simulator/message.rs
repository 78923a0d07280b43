//! A request and its answer as plain values, so that a part of a batch is handled like a call.

use chrono_tz::Tz;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use std::time::Duration;

use crate::domain::Timestamp;

/// When a call arrived, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) elapsed: Duration,
}

/// A request, read to its end.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// As sent, still percent-encoded, without the query.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) at: Moment,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Whether the path or the body has this text in it.
    pub(super) fn holds(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        self.path.contains(text) || self.body.windows(bytes.len().max(1)).any(|w| w == bytes)
    }

    /// The first value of a query parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The path below `base`, split and decoded; `None` if it lies elsewhere.
    pub(super) fn segments(&self, base: &str) -> Option<Vec<String>> {
        let rest = self.path.strip_prefix(base)?.strip_prefix('/')?;
        Some(rest.split('/').map(decode_segment).collect())
    }

    #[cfg(test)]
    pub(super) fn for_tests(body: &[u8]) -> Self {
        Self {
            method: Method::POST,
            path: "/".to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: body.to_vec(),
            at: Moment {
                now: Timestamp::UNIX_EPOCH,
                elapsed: Duration::ZERO,
            },
        }
    }

    /// The body as a form.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect()
    }
}

pub(super) fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// Percent-decoding alone: in a path a plus sign is a plus sign.
fn decode_segment(segment: &str) -> String {
    let guarded = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
    parse_query(&guarded)
        .pop()
        .map(|(_, value)| value)
        .unwrap_or_default()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::empty(status)
            .with("content-type", "application/json; charset=UTF-8")
            .with_body(body.to_string().into_bytes())
    }

    pub(super) fn html(status: u16, page: String) -> Self {
        Self::empty(status)
            .with("content-type", "text/html; charset=utf-8")
            .with_body(page.into_bytes())
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::empty(302).with("location", to)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status and headers as a response that still lacks its body. A header value that HTTP does
    /// not allow is left out: scripted faults may ask for anything.
    pub(super) fn head(&self) -> poem::Response {
        let mut response = poem::Response::builder()
            .status(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .finish();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(*name), HeaderValue::try_from(value))
            {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

impl From<Reply> for poem::Response {
    fn from(mut reply: Reply) -> Self {
        let body = std::mem::take(&mut reply.body);
        let mut response = reply.head();
        response.set_body(body);
        response
    }
}

/// The instant that a local time names: the earlier one where the clock repeats an hour, the hour
/// after the gap where it skips one.
pub(super) fn local_to_utc(local: chrono::NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    use chrono::TimeZone as _;
    zone.from_local_datetime(&local)
        .earliest()
        .or_else(|| {
            let later = local.checked_add_signed(chrono::TimeDelta::hours(1))?;
            zone.from_local_datetime(&later).earliest()
        })
        .map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_segment_keeps_its_plus_and_ampersand() {
        assert_eq!(decode_segment("a%40b+c&d%2Fe"), "a@b+c&d/e");
    }

    #[test]
    fn a_skipped_local_hour_is_read_as_the_hour_after() {
        let skipped = "2027-03-28T02:30:00".parse().expect("a local time");
        let at = local_to_utc(skipped, Tz::Europe__Berlin).expect("an instant");
        assert_eq!(at.to_rfc3339(), "2027-03-28T01:30:00+00:00");
    }
}
