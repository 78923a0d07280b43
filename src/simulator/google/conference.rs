//! Google Meet links: kept unless a call that says it knows about them takes them away.

use serde_json::{Map, Value, json};

/// Follows what a modifying call says about the conference. Without `conferenceDataVersion=1` it is
/// ignored, so that a client which knows nothing of conferences does not lose one.
pub(super) fn follow(
    fields: &mut Map<String, Value>,
    sent: &Map<String, Value>,
    version: Option<&str>,
) {
    if version != Some("1") {
        return;
    }
    match sent.get("conferenceData") {
        None => {}
        Some(Value::Null) => {
            fields.remove("conferenceData");
            fields.remove("hangoutLink");
        }
        Some(data) => {
            let request = data
                .get("createRequest")
                .and_then(|request| request.get("requestId"))
                .and_then(Value::as_str);
            if let Some(request) = request {
                add(fields, request);
            }
        }
    }
}

/// Gives the event a Meet link; the same request again changes nothing.
pub(super) fn add(fields: &mut Map<String, Value>, request_id: &str) {
    let known = fields
        .get("conferenceData")
        .and_then(|data| data.get("createRequest"))
        .and_then(|request| request.get("requestId"));
    if known.and_then(Value::as_str) == Some(request_id) {
        return;
    }
    let letters = data_encoding::BASE32_NOPAD.encode(request_id.as_bytes());
    let code: String = letters.to_lowercase().chars().take(10).collect();
    let link = format!("https://meet.google.com/{code}");
    fields.insert("hangoutLink".to_owned(), link.clone().into());
    fields.insert(
        "conferenceData".to_owned(),
        json!({
            "createRequest": {
                "requestId": request_id,
                "conferenceSolutionKey": {"type": "hangoutsMeet"},
                "status": {"statusCode": "success"},
            },
            "entryPoints": [{"entryPointType": "video", "uri": link}],
            "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet"},
            "conferenceId": code,
        }),
    );
}
