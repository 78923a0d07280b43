//! Instants as the API writes and reads them.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, TimeDelta};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{
    ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type,
};
use serde_json::Value;

use crate::domain::Timestamp;

/// An RFC 3339 instant: read with any offset, in whole microseconds; written in UTC with a `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcTime(pub Timestamp);

impl From<Timestamp> for UtcTime {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// Where the years begin that RFC 3339 can write.
const YEAR_0: i64 = -62_167_219_200;
/// Where they have ended.
const YEAR_10_000: i64 = 253_402_300_800;

/// `None` if the text is no RFC 3339 instant. A leap second is read as the second after it.
///
/// The text has a year from 0 to 9999, which with its offset may be another one in UTC: `no end` in the
/// local time of New York is in the year 10000. There is nothing out there, and SQLite, which compares
/// texts, would take such an instant for one before all others. It is read as the nearest one inside.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    let at = DateTime::from_timestamp_micros(at.timestamp_micros())?;
    let first = DateTime::from_timestamp(YEAR_0, 0)?;
    let last = DateTime::from_timestamp(YEAR_10_000, 0)? - TimeDelta::microseconds(1);
    Some(at.clamp(first, last))
}

impl Type for UtcTime {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for UtcTime {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let text = value.as_ref().and_then(Value::as_str).unwrap_or_default();
        Self::parse_from_parameter(text)
    }
}

impl ParseFromParameter for UtcTime {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        parse(text)
            .map(Self)
            .ok_or_else(|| ParseError::custom("not an RFC 3339 instant"))
    }
}

impl ToJSON for UtcTime {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_read_and_utc_is_written() {
        for (text, written) in [
            ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"),
            (
                "2026-11-01T12:00:00.1234567Z",
                "2026-11-01T12:00:00.123456Z",
            ),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ] {
            let at = UtcTime::parse_from_parameter(text).expect("an instant");
            assert_eq!(at.to_json(), Some(written.into()));
        }
        for (text, written) in [
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59.999999Z"),
            ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("0000-01-01T00:00:00+05:00", "0000-01-01T00:00:00Z"),
        ] {
            let at = UtcTime::parse_from_parameter(text).expect("an instant");
            assert_eq!(at.to_json(), Some(written.into()), "{text}");
        }
        for text in ["", "2026-11-01", "2026-11-01T12:00:00", "1793534400"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
