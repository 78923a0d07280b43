//! Addresses of Google's Calendar API under a configured base. Pure.

use url::Url;

use super::wire::EVENT_KEY;
use crate::domain::{CalendarId, CreateKey, EventId};

/// Where Google is: the real one, or a stand-in under some path.
#[derive(Clone, Debug)]
pub struct GoogleEndpoints {
    /// Such as `https://www.googleapis.com`; `/calendar/v3/…` and `/batch/calendar/v3` lie under it.
    pub api: Url,
    /// Answers who signed in, in either of Google's two shapes.
    pub userinfo: Url,
}

impl GoogleEndpoints {
    pub(super) fn batch(&self) -> Url {
        self.under(&["batch", "calendar", "v3"])
    }

    /// No mail to guests is ever caused by us.
    pub(super) fn insert(&self, calendar: &CalendarId) -> Url {
        silent(self.events(calendar))
    }

    /// The events of this calendar that carry the key, and nothing of what is the coach's own.
    pub(super) fn search(&self, calendar: &CalendarId, key: &CreateKey) -> Url {
        let mut url = self.events(calendar);
        let mark = format!("{EVENT_KEY}={}", key.hex());
        url.query_pairs_mut()
            .append_pair("privateExtendedProperty", &mark);
        url
    }

    fn events(&self, calendar: &CalendarId) -> Url {
        self.under(&["calendar", "v3", "calendars", calendar.as_str(), "events"])
    }

    pub(super) fn event(&self, calendar: &CalendarId, event: &EventId) -> Url {
        let path = [
            "calendar",
            "v3",
            "calendars",
            calendar.as_str(),
            "events",
            event.as_str(),
        ];
        self.under(&path)
    }

    pub(super) fn change(&self, calendar: &CalendarId, event: &EventId) -> Url {
        silent(self.event(calendar, event))
    }

    pub(super) fn calendar(&self, calendar: &CalendarId) -> Url {
        let path = [
            "calendar",
            "v3",
            "users",
            "me",
            "calendarList",
            calendar.as_str(),
        ];
        self.under(&path)
    }

    pub(super) fn calendars(&self, page: Option<&str>) -> Url {
        let mut url = self.under(&["calendar", "v3", "users", "me", "calendarList"]);
        let mut query = url.query_pairs_mut();
        query.append_pair("maxResults", "250");
        if let Some(page) = page {
            query.append_pair("pageToken", page);
        }
        drop(query);
        url
    }

    /// The address as a batch part names it: path and query below the base.
    pub(super) fn inner_path<'a>(&self, url: &'a Url) -> &'a str {
        let base = self.api.path().trim_end_matches('/');
        let whole = &url[url::Position::BeforePath..url::Position::AfterQuery];
        whole.strip_prefix(base).unwrap_or(whole)
    }

    /// Each segment is percent-encoded, so an id can hold any character.
    fn under(&self, segments: &[&str]) -> Url {
        let mut url = self.api.clone();
        url.set_query(None);
        // An address that can have no path (`mailto:`) is refused when settings are read.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn silent(mut url: Url) -> Url {
    url.query_pairs_mut().append_pair("sendUpdates", "none");
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppointmentId, ConnectionId};

    fn endpoints(api: &str) -> GoogleEndpoints {
        GoogleEndpoints {
            api: api.parse().expect("an address"),
            userinfo: "https://openidconnect.googleapis.com/v1/userinfo"
                .parse()
                .expect("an address"),
        }
    }

    #[test]
    fn ids_are_encoded_and_a_base_path_is_kept_but_not_repeated_in_a_batch() {
        for base in ["http://127.0.0.1:9/google", "http://127.0.0.1:9/google/"] {
            let google = endpoints(base);
            let url = google.change(&"a/b#c?d%@group.example".into(), &"0123v".into());
            assert_eq!(
                url.as_str(),
                "http://127.0.0.1:9/google/calendar/v3/calendars/a%2Fb%23c%3Fd%25@group.example/events/0123v?sendUpdates=none"
            );
            assert_eq!(
                google.inner_path(&url),
                "/calendar/v3/calendars/a%2Fb%23c%3Fd%25@group.example/events/0123v?sendUpdates=none"
            );
        }
        let google = endpoints("https://www.googleapis.com");
        assert_eq!(
            google.batch().as_str(),
            "https://www.googleapis.com/batch/calendar/v3"
        );
        let key = CreateKey {
            connection_id: ConnectionId(uuid::Uuid::from_u128(1)),
            appointment_id: AppointmentId(uuid::Uuid::from_u128(2)),
            generation: 1,
        };
        let search = google.search(&"c".into(), &key);
        assert_eq!(
            google.inner_path(&search),
            format!(
                "/calendar/v3/calendars/c/events?privateExtendedProperty=event_key%3D{}",
                key.hex()
            )
        );
        let page = google.calendars(Some("a&b"));
        assert_eq!(page.query(), Some("maxResults=250&pageToken=a%26b"));
    }
}
