//! Time zones by the names Graph takes: Windows names and IANA names.

use chrono::{NaiveDateTime, Timelike};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::domain::Timestamp;
use crate::simulator::message::local_to_utc;

use super::error::Problem;

/// The more common Windows names, after CLDR's `windowsZones`.
const WINDOWS: &[(&str, Tz)] = &[
    ("UTC", Tz::UTC),
    ("GMT Standard Time", Tz::Europe__London),
    ("Greenwich Standard Time", Tz::Atlantic__Reykjavik),
    ("W. Europe Standard Time", Tz::Europe__Berlin),
    ("Central Europe Standard Time", Tz::Europe__Budapest),
    ("Central European Standard Time", Tz::Europe__Warsaw),
    ("Romance Standard Time", Tz::Europe__Paris),
    ("GTB Standard Time", Tz::Europe__Bucharest),
    ("FLE Standard Time", Tz::Europe__Kyiv),
    ("Turkey Standard Time", Tz::Europe__Istanbul),
    ("Russian Standard Time", Tz::Europe__Moscow),
    ("South Africa Standard Time", Tz::Africa__Johannesburg),
    ("Egypt Standard Time", Tz::Africa__Cairo),
    ("Arabian Standard Time", Tz::Asia__Dubai),
    ("India Standard Time", Tz::Asia__Kolkata),
    ("Nepal Standard Time", Tz::Asia__Kathmandu),
    ("China Standard Time", Tz::Asia__Shanghai),
    ("Singapore Standard Time", Tz::Asia__Singapore),
    ("Tokyo Standard Time", Tz::Asia__Tokyo),
    ("AUS Eastern Standard Time", Tz::Australia__Sydney),
    ("New Zealand Standard Time", Tz::Pacific__Auckland),
    ("E. South America Standard Time", Tz::America__Sao_Paulo),
    ("Newfoundland Standard Time", Tz::America__St_Johns),
    ("Atlantic Standard Time", Tz::America__Halifax),
    ("Eastern Standard Time", Tz::America__New_York),
    ("Central Standard Time", Tz::America__Chicago),
    ("Mountain Standard Time", Tz::America__Denver),
    ("Pacific Standard Time", Tz::America__Los_Angeles),
    ("Hawaiian Standard Time", Tz::Pacific__Honolulu),
];

pub(super) fn find(name: &str) -> Option<Tz> {
    WINDOWS
        .iter()
        .find(|(windows, _)| windows.eq_ignore_ascii_case(name))
        .map(|(_, zone)| *zone)
        .or_else(|| name.parse().ok())
}

pub(super) fn unknown() -> Problem {
    let text = "A valid TimeZone value must be specified.";
    Problem::new(400, "TimeZoneNotSupportedException", text)
}

/// A `dateTimeTimeZone` as sent, resolved to an instant. An offset in it is refused: the zone is
/// said apart.
pub(super) fn read(fields: &Map<String, Value>, name: &str) -> Result<Timestamp, Problem> {
    let time = fields.get(name).and_then(Value::as_object);
    let text = |key| time?.get(key)?.as_str();
    let (Some(local), Some(zone)) = (text("dateTime"), text("timeZone")) else {
        return Err(Problem::invalid(format!(
            "The property '{name}' needs dateTime and timeZone."
        )));
    };
    let zone = find(zone).ok_or_else(unknown)?;
    local
        .parse::<NaiveDateTime>()
        .or_else(|_| NaiveDateTime::parse_from_str(local, "%Y-%m-%dT%H:%M"))
        .ok()
        .and_then(|local| local_to_utc(local, zone))
        .ok_or_else(|| Problem::invalid(format!("The property '{name}' is not a local time.")))
}

/// An instant as Graph answers it: seven fractional digits, no offset.
pub(super) fn show(at: Timestamp, zone: Tz, zone_name: &str) -> Value {
    let local = at.with_timezone(&zone).naive_local();
    json!({
        "dateTime": format!(
            "{}.{:07}",
            local.format("%Y-%m-%dT%H:%M:%S"),
            local.nanosecond() / 100
        ),
        "timeZone": zone_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(local: &str, zone: &str) -> Result<Timestamp, Problem> {
        let fields = json!({"start": {"dateTime": local, "timeZone": zone}});
        read(fields.as_object().expect("an object"), "start")
    }

    #[test]
    fn windows_and_iana_names_are_zones_and_offsets_are_refused() {
        let by_windows = read_text("2027-07-01T10:00:00", "W. Europe Standard Time");
        assert_eq!(
            by_windows,
            read_text("2027-07-01T10:00:00.0000000", "Europe/Berlin")
        );
        assert!(read_text("2027-07-01T10:00:00Z", "UTC").is_err());
        assert_eq!(
            read_text("2027-07-01T10:00:00", "Mars/Olympus"),
            Err(unknown())
        );
    }

    #[test]
    fn times_are_shown_with_seven_digits_and_no_offset() {
        let at = read_text("2027-07-01T10:00:00", "UTC").expect("a time");
        let shown = show(at, Tz::Europe__Berlin, "Europe/Berlin");
        assert_eq!(shown["dateTime"], "2027-07-01T12:00:00.0000000");
    }
}
