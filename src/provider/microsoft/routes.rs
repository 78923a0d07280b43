//! Addresses of Microsoft Graph under a configured base. Pure.

use url::Url;
use url::form_urlencoded::byte_serialize;

use super::convert::EVENT_KEY;
use crate::domain::{CalendarId, CreateKey, EventId};

/// Where Graph is, and how hard one mailbox may be pressed.
#[derive(Clone, Debug)]
pub struct GraphEndpoints {
    /// With the version: `https://graph.microsoft.com/v1.0`.
    pub graph: Url,
    /// Calls to one mailbox under way at once; Graph refuses a fifth.
    pub concurrency_per_mailbox: usize,
}

impl GraphEndpoints {
    pub(super) fn batch(&self) -> Url {
        self.under(&["$batch"])
    }

    pub(super) fn me(&self) -> Url {
        let mut url = self.under(&["me"]);
        url.set_query(Some("$select=id,mail,userPrincipalName"));
        url
    }

    pub(super) fn calendars(&self) -> Url {
        let mut url = self.under(&["me", "calendars"]);
        url.set_query(Some("$top=100"));
        url
    }

    pub(super) fn calendar(&self, calendar: &CalendarId) -> Url {
        self.under(&["me", "calendars", calendar.as_str()])
    }

    pub(super) fn events(&self, calendar: &CalendarId) -> Url {
        self.under(&["me", "calendars", calendar.as_str(), "events"])
    }

    /// Reaches an event in whichever calendar of the mailbox it is.
    pub(super) fn event(&self, event: &EventId) -> Url {
        self.under(&["me", "events", event.as_str()])
    }

    /// The events of this calendar that carry the key.
    pub(super) fn search(&self, calendar: &CalendarId, key: &CreateKey) -> Url {
        let filter = format!(
            "singleValueExtendedProperties/any(ep: ep/id eq '{EVENT_KEY}' and ep/value eq '{}')",
            key.hex()
        );
        // OData reads `+` as itself: a space must be `%20`.
        let filter = byte_serialize(filter.as_bytes())
            .collect::<String>()
            .replace('+', "%20");
        let mut url = self.events(calendar);
        url.set_query(Some(&format!("$filter={filter}&$top=50")));
        url
    }

    /// The next page, if the link leads to where we asked: it is followed with the access token.
    pub(super) fn next_page(&self, link: &str) -> Option<Url> {
        let url = Url::parse(link).ok()?;
        let base = self.graph.path().trim_end_matches('/');
        let below = url.path().strip_prefix(base)?;
        (url.origin() == self.graph.origin()
            && below.starts_with('/')
            && url.username().is_empty()
            && url.password().is_none())
        .then_some(url)
    }

    /// The address as a batch item names it: relative to the version.
    pub(super) fn inner_path<'a>(&self, url: &'a Url) -> &'a str {
        let base = self.graph.path().trim_end_matches('/');
        let whole = &url[url::Position::BeforePath..url::Position::AfterQuery];
        whole.strip_prefix(base).unwrap_or(whole)
    }

    /// Each segment is percent-encoded, so an id can hold any character.
    fn under(&self, segments: &[&str]) -> Url {
        let mut url = self.graph.clone();
        url.set_query(None);
        // An address that can have no path (`mailto:`) is refused when settings are read.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppointmentId, ConnectionId};

    fn graph() -> GraphEndpoints {
        GraphEndpoints {
            graph: "https://graph.microsoft.com/v1.0"
                .parse()
                .expect("an address"),
            concurrency_per_mailbox: 4,
        }
    }

    #[test]
    fn ids_are_encoded_and_a_batch_names_what_follows_the_version() {
        let url = graph().event(&"AAMk/+a=".into());
        assert_eq!(url.path(), "/v1.0/me/events/AAMk%2F+a=");
        assert_eq!(graph().inner_path(&url), "/me/events/AAMk%2F+a=");
        assert_eq!(
            graph().batch().as_str(),
            "https://graph.microsoft.com/v1.0/$batch"
        );
    }

    #[test]
    fn the_search_is_encoded_throughout() {
        let key = CreateKey {
            connection_id: ConnectionId(uuid::Uuid::from_u128(1)),
            appointment_id: AppointmentId(uuid::Uuid::from_u128(2)),
            generation: 1,
        };
        let url = graph().search(&"c".into(), &key);
        let query = url.query().expect("a query");
        assert!(!query.contains(['+', ' ', '{', '\'', '"']));
        let (_, filter) = url.query_pairs().next().expect("a filter");
        assert_eq!(
            filter,
            format!(
                "singleValueExtendedProperties/any(ep: ep/id eq 'String {{9c3f1f0e-5d0b-4f7a-9d58-6f1a2b7c4e10}} Name event_key' and ep/value eq '{}')",
                key.hex()
            )
        );
    }

    #[test]
    fn a_next_page_elsewhere_is_not_followed() {
        for (link, followed) in [
            (
                "https://graph.microsoft.com/v1.0/me/calendars?$skip=10",
                true,
            ),
            ("https://graph.microsoft.com/v1.0evil/me", false),
            ("https://graph.microsoft.com/beta/me/calendars", false),
            ("https://graph.microsoft.com.evil.example/v1.0/me", false),
            ("https://graph.microsoft.com:444/v1.0/me", false),
            ("http://graph.microsoft.com/v1.0/me", false),
            ("https://u:p@graph.microsoft.com/v1.0/me", false),
            ("https://graph.microsoft.com/v1.0/../beta/me", false),
            ("/v1.0/me", false),
        ] {
            assert_eq!(graph().next_page(link).is_some(), followed, "{link}");
        }
    }
}
