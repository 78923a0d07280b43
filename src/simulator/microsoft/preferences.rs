//! The `Prefer` header: kind of ids, zone of times, kind of bodies, size of pages.

use chrono_tz::Tz;

use crate::simulator::message::{Call, Reply};

use super::error::Problem;
use super::zone;

#[derive(Debug)]
pub(super) struct Preferences {
    pub(super) immutable_ids: bool,
    pub(super) zone: Tz,
    /// The zone as the caller spelt it.
    pub(super) zone_name: String,
    pub(super) text_bodies: bool,
    pub(super) page_size: Option<usize>,
}

impl Preferences {
    pub(super) fn read(call: &Call) -> Result<Self, Problem> {
        let mut preferences = Self {
            immutable_ids: false,
            zone: Tz::UTC,
            zone_name: "UTC".to_owned(),
            text_bodies: false,
            page_size: None,
        };
        let values = call.headers.get_all("prefer").iter();
        for item in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|v| v.split(','))
        {
            let Some((name, value)) = item.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "idtype" => preferences.immutable_ids = value.eq_ignore_ascii_case("ImmutableId"),
                "outlook.timezone" => {
                    preferences.zone = zone::find(value).ok_or_else(zone::unknown)?;
                    value.clone_into(&mut preferences.zone_name);
                }
                "outlook.body-content-type" => {
                    preferences.text_bodies = value.eq_ignore_ascii_case("text");
                }
                "odata.maxpagesize" => preferences.page_size = value.parse().ok(),
                // An unknown preference is ignored (RFC 7240, section 2).
                _ => {}
            }
        }
        Ok(preferences)
    }

    pub(super) fn note_applied(&self, reply: Reply) -> Reply {
        if self.text_bodies {
            reply.with("preference-applied", "outlook.body-content-type=\"text\"")
        } else {
            reply
        }
    }
}
