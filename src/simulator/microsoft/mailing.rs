//! Which guests Exchange mails. It cannot be told not to.

use serde_json::{Map, Value};

use super::fields;

/// Whom a change is mailed to.
pub(super) enum Mailing {
    /// Nothing guests see changed.
    Nobody,
    /// Only the guest list was sent: those who came or went.
    ComersAndGoers,
    Everybody,
}

impl Mailing {
    pub(super) fn of(sent: &Map<String, Value>) -> Self {
        let seen = [
            "attendees",
            "body",
            "end",
            "location",
            "locations",
            "start",
            "subject",
        ];
        let mut names = sent
            .keys()
            .map(String::as_str)
            .filter(|name| seen.contains(name));
        match (names.next(), names.next()) {
            (None, _) => Self::Nobody,
            (Some("attendees"), None) => Self::ComersAndGoers,
            (Some(_), _) => Self::Everybody,
        }
    }

    pub(super) fn count(&self, before: &[String], after: &[String]) -> usize {
        let came = after.iter().filter(|guest| !before.contains(guest)).count();
        let went = before.iter().filter(|guest| !after.contains(guest)).count();
        match self {
            Self::Nobody => 0,
            Self::ComersAndGoers => came + went,
            Self::Everybody => after.len() + went,
        }
    }
}

/// The guests' addresses, in lower case.
pub(super) fn addresses(fields: &Map<String, Value>) -> Vec<String> {
    fields::guests_of(fields)
        .iter()
        .filter_map(fields::address)
        .map(str::to_lowercase)
        .collect()
}
