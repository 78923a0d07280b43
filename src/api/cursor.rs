//! Where a page ended, as a word that clients hand back and need not understand.

use chrono::{DateTime, Datelike};
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::problem::{Code, Problem};
use crate::domain::Timestamp;

/// Rows of a page whose size was not asked for.
pub(super) const DEFAULT_LIMIT: u64 = 50;

const BYTES: usize = 8 + 16;

pub(super) fn write(at: Timestamp, id: Uuid) -> String {
    let mut bytes = [0_u8; BYTES];
    bytes[..8].copy_from_slice(&at.timestamp_micros().to_be_bytes());
    bytes[8..].copy_from_slice(id.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

pub(super) fn read(text: &str) -> Result<(Timestamp, Uuid), Problem> {
    decode(text).ok_or_else(|| Problem::new(Code::InvalidCursor))
}

/// Where a page of rows without a time ended.
pub(super) fn write_id(id: Uuid) -> String {
    BASE64URL_NOPAD.encode(id.as_bytes())
}

pub(super) fn read_id(text: &str) -> Result<Uuid, Problem> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    id.ok_or_else(|| Problem::new(Code::InvalidCursor))
}

fn decode(text: &str) -> Option<(Timestamp, Uuid)> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let (at, id) = bytes.split_at_checked(8)?;
    let at = DateTime::from_timestamp_micros(i64::from_be_bytes(at.try_into().ok()?))?;
    // No row has another year, for RFC 3339 has none; PostgreSQL could not even ask for some.
    (0..=9999).contains(&at.year()).then_some(())?;
    Some((at, Uuid::from_slice(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};

    #[test]
    fn a_cursor_leads_back_to_its_place_and_nothing_else_is_one() {
        let at: Timestamp = "2026-11-01T12:00:00.000001Z".parse().expect("an instant");
        let id = Uuid::from_u128(7);
        assert_eq!(decode(&write(at, id)), Some((at, id)));
        for text in [
            "",
            "x",
            "AAAA",
            &"A".repeat(33),
            "////////////////////////////////",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read_id(&write_id(id)).expect("a place"), id);
        for text in ["", "x", "AAAA", &write(at, id)] {
            assert!(read_id(text).is_err(), "{text}");
        }
        let far = BASE64URL_NOPAD.encode(&[0x7f; BYTES]);
        assert!(read(&far).is_err());
        for year in [-4800, 10_000] {
            let other = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single();
            let other = write(other.expect("an instant"), id);
            assert!(read(&other).is_err(), "{year}");
        }
    }
}
