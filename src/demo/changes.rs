//! The file of changes: one JSON object a line, `{at, id, appointment}`, in the order of arrival.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{AppointmentId, CoachId, Timestamp};

/// One report of the booking platform.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) id: AppointmentId,
    /// As much of the appointment as may show in a calendar.
    pub(super) appointment: Reported,
    /// The whole body, as it is sent.
    pub(super) body: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Reported {
    pub(super) coach_id: CoachId,
    pub(super) status: Status,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) time_zone: String,
    pub(super) client: Client,
    pub(super) notes: Option<String>,
    pub(super) location: Option<String>,
    pub(super) meeting_url: Option<String>,
    pub(super) revision: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) email: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Pending,
    #[serde(alias = "scheduled")]
    Confirmed,
    Completed,
    Cancelled,
    NoShow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[expect(
        dead_code,
        reason = "part of the format; the replay goes as fast as it can"
    )]
    at: Timestamp,
    id: AppointmentId,
    appointment: Value,
}

/// A line that is none of the format. Says what is wrong without the line's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {problem}")]
pub(super) struct BadLine {
    number: usize,
    problem: String,
}

/// Reads the whole file, or says of every bad line what is wrong with it. Empty lines are skipped.
pub(super) fn parse(text: &str) -> Result<Vec<Change>, Vec<BadLine>> {
    let mut changes = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match change(line) {
            Ok(change) => changes.push(change),
            Err(problem) => bad.push(BadLine {
                number: index + 1,
                problem,
            }),
        }
    }
    if bad.is_empty() {
        Ok(changes)
    } else {
        Err(bad)
    }
}

fn change(line: &str) -> Result<Change, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| describe(&error))?;
    Change::reported(line.id, line.appointment)
        .map_err(|error| format!("in appointment: {}", describe(&error)))
}

impl Change {
    /// From the body of a report.
    pub(super) fn reported(id: AppointmentId, body: Value) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id,
            appointment: Reported::deserialize(&body)?,
            body,
        })
    }
}

/// What serde says, up to where it repeats a value: values may name a client.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.classify() {
        serde_json::error::Category::Data if text.starts_with("missing field") => text,
        serde_json::error::Category::Data => "a field does not have the documented form".to_owned(),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => format!("is no JSON: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"at":"2026-12-01T08:00:02Z","id":"e023033d-364e-433f-b7c8-82f4202cc828","appointment":{"coach_id":"3e2434e3-7af0-47bc-88d6-af57da711448","status":"scheduled","starts_at":"2027-01-07T19:00:00Z","ends_at":"2027-01-07T19:50:00Z","time_zone":"Europe/Berlin","client":{"name":"Θεοδώρα","email":"c@example.net"},"revision":1}}"#;

    #[test]
    fn scheduled_is_read_as_confirmed_and_the_body_is_kept() {
        let changes = parse(&format!("{GOOD}\n\n{GOOD}\n")).expect("a good file");
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0].appointment.status, Status::Confirmed);
        assert_eq!(changes[0].body["status"], "scheduled");
    }

    #[test]
    fn bad_lines_are_named_by_number_and_without_their_values() {
        let secret = GOOD.replace("\"scheduled\"", "\"Theodora\"");
        let without = GOOD.replace("\"status\":\"scheduled\",", "");
        let bad =
            parse(&format!("{GOOD}\n{secret}\nnonsense\n{without}\n")).expect_err("bad lines");
        let told: Vec<String> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        assert!(
            told[0].starts_with("line 2: in appointment: a field"),
            "{told:?}"
        );
        assert!(told[1].starts_with("line 3: is no JSON"), "{told:?}");
        assert!(
            told[2].contains("line 4: in appointment: missing field `status`"),
            "{told:?}"
        );
        assert!(!told.concat().contains("Theodora"));
    }
}
