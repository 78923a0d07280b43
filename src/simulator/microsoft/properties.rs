//! Single-value extended properties: how an application tags events and finds them again.

use serde_json::{Map, Value, json};

use crate::simulator::account::{EventState, Marks};

use super::error::Problem;

/// `String {GUID} Name <name>`, with the GUID in lower case. The name keeps its case: it matters.
pub(super) fn canonical_id(id: &str) -> Option<String> {
    let (guid, name) = id.strip_prefix("String {")?.split_once("} Name ")?;
    let guid = uuid::Uuid::parse_str(guid).ok()?;
    (!name.is_empty()).then(|| format!("String {{{guid}}} Name {name}"))
}

/// Puts what was sent over what is there, by id.
pub(super) fn merge(fields: &mut Map<String, Value>, sent: &Value) -> Result<(), Problem> {
    let mut kept = of(fields).to_vec();
    for property in sent.as_array().into_iter().flatten() {
        let id = property["id"].as_str().and_then(canonical_id);
        let (Some(id), Some(value)) = (id, property["value"].as_str()) else {
            return Err(Problem::invalid(
                "An extended property needs an id such as 'String {GUID} Name x' and a value.",
            ));
        };
        kept.retain(|other| other["id"] != id.as_str());
        kept.push(json!({"id": id, "value": value}));
    }
    fields.insert(NAME.to_owned(), kept.into());
    Ok(())
}

pub(super) const NAME: &str = "singleValueExtendedProperties";

pub(super) fn of(fields: &Map<String, Value>) -> &[Value] {
    fields
        .get(NAME)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Whether an event has the property: the name by exact case, the value in any.
pub(super) fn has(event: &EventState, id: &str, value: &str) -> bool {
    of(&event.fields).iter().any(|property| {
        property["id"] == id
            && property["value"]
                .as_str()
                .is_some_and(|own| own.to_lowercase() == value.to_lowercase())
    })
}

/// Our marks among the properties, under whatever GUID.
pub(super) fn marks(fields: &Map<String, Value>) -> Marks {
    let named = |name: &str| {
        of(fields).iter().find_map(|property| {
            let id = property["id"].as_str()?;
            let value = property["value"].as_str()?;
            id.ends_with(&format!("}} Name {name}"))
                .then(|| value.to_owned())
        })
    };
    Marks {
        appointment_id: named("appointment_id"),
        event_key: named("event_key"),
    }
}
