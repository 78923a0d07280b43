//! How far the reader of a stream has seen: the id of each event, which comes back in `Last-Event-ID`.
//!
//! It is for us alone to read, and holds nothing that its reader was not told. Of another version, such
//! as one that was given out before an update, it is taken as none: the stream begins anew, which loses
//! only jobs that ended meanwhile. What we never gave out is refused.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::{ConnectionId, JobId};
use crate::store::Ended;

const VERSION: u8 = 2;
/// A place among jobs that ended.
const ENDED: usize = 8 + 16;
/// Of one connection.
const BYTES: usize = 16 + 8 + 8 + ENDED;
/// Connections that one stream tells of; the id of an event stays below what proxies take as a header.
pub(super) const MOST_CONNECTIONS: usize = 100;

/// Of what was shown, to see whether it is still so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; 8]);

impl Digest {
    /// Of nothing shown: the default.
    pub(super) fn of(shown: Option<&str>) -> Self {
        let Some(shown) = shown else {
            return Self::default();
        };
        let hash: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Self([a, b, c, d, e, f, g, h])
    }
}

/// What was seen of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) connection: Digest,
    pub(super) progress: Digest,
    pub(super) ended: Ended,
}

/// What was seen of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Where the stream began: jobs of a connection that comes later are told from here on. `NONE`: it is
    /// yet to begin.
    pub(super) began: Ended,
    pub(super) seen: BTreeMap<ConnectionId, Seen>,
}

impl Default for Position {
    fn default() -> Self {
        Self {
            began: Ended::NONE,
            seen: BTreeMap::new(),
        }
    }
}

impl Position {
    pub(super) fn write(&self) -> String {
        let mut bytes = Vec::with_capacity(1 + ENDED + self.seen.len() * BYTES);
        bytes.push(VERSION);
        write_ended(self.began, &mut bytes);
        for (id, seen) in &self.seen {
            bytes.extend(id.0.as_bytes());
            bytes.extend(seen.connection.0);
            bytes.extend(seen.progress.0);
            write_ended(seen.ended, &mut bytes);
        }
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// `None` if it is none of ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (version, entries) = bytes.split_first()?;
        if *version != VERSION {
            return Some(Self::default());
        }
        let (began, entries) = entries.split_first_chunk::<ENDED>()?;
        let entries = entries.chunks(BYTES);
        if entries.len() > MOST_CONNECTIONS {
            return None;
        }
        Some(Self {
            began: read_ended(began)?,
            seen: entries.map(entry).collect::<Option<_>>()?,
        })
    }
}

fn entry(bytes: &[u8]) -> Option<(ConnectionId, Seen)> {
    let (id, bytes) = bytes.split_first_chunk::<16>()?;
    let (connection, bytes) = bytes.split_first_chunk::<8>()?;
    let (progress, bytes) = bytes.split_first_chunk::<8>()?;
    let seen = Seen {
        connection: Digest(*connection),
        progress: Digest(*progress),
        ended: read_ended(bytes)?,
    };
    Some((ConnectionId(Uuid::from_bytes(*id)), seen))
}

fn write_ended(ended: Ended, bytes: &mut Vec<u8>) {
    bytes.extend(ended.at.timestamp_micros().to_be_bytes());
    bytes.extend(ended.id.0.as_bytes());
}

fn read_ended(bytes: &[u8]) -> Option<Ended> {
    let (at, job) = bytes.split_first_chunk::<8>()?;
    let job: [u8; 16] = job.try_into().ok()?;
    let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*at))?;
    // No row has another year; PostgreSQL could not even be asked for some.
    (0..=9999).contains(&at.year()).then_some(())?;
    Some(Ended {
        at,
        id: JobId(Uuid::from_bytes(job)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(connections: usize) -> Position {
        let seen = |n: usize| {
            let id = Uuid::from_u128(n as u128 + 1);
            let seen = Seen {
                connection: Digest::of(Some("shown")),
                progress: Digest::of(None),
                ended: Ended {
                    at: "2026-11-01T12:00:00.000001Z".parse().expect("an instant"),
                    id: JobId(id),
                },
            };
            (ConnectionId(id), seen)
        };
        Position {
            began: Ended {
                at: "2026-10-31T12:00:00Z".parse().expect("an instant"),
                id: JobId(Uuid::nil()),
            },
            seen: (0..connections).map(seen).collect(),
        }
    }

    #[test]
    fn what_was_given_out_is_read_back_and_fits_a_header() {
        for connections in [0, 1, 2, MOST_CONNECTIONS] {
            let position = position(connections);
            let text = position.write();
            assert_eq!(Position::read(&text), Some(position));
            assert!(text.len() < 8_000, "{}", text.len());
        }
    }

    #[test]
    fn another_version_begins_anew_and_what_was_never_given_out_is_refused() {
        let other_version = BASE64URL_NOPAD.encode(&[VERSION + 1, 1, 2, 3]);
        assert_eq!(Position::read(&other_version), Some(Position::default()));
        let text = position(1).write();
        let mut of_stone_age = position(1);
        of_stone_age.began.at = DateTime::from_timestamp(-10_i64.pow(12), 0).expect("an instant");
        for text in [
            &of_stone_age.write(),
            "",
            "7",
            "not an id",
            &text[..text.len() - 4],
            &position(MOST_CONNECTIONS + 1).write(),
            &BASE64URL_NOPAD.encode(&[&[VERSION][..], &[0x7f; BYTES]].concat()),
        ] {
            assert_eq!(Position::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_differs_has_another_digest() {
        let of = |text| Digest::of(Some(text));
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert_ne!(of(""), Digest::default());
    }
}
