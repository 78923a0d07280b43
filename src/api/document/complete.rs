//! What the generator of the document cannot say, put into it afterwards.
//!
//! Things that generators of clients and linters ask for: tags in the order in which one reads about
//! them, an explicit "no token" where none is needed, references without what generators stumble over,
//! and a type beside `nullable`, without which OpenAPI 3.0 gives it no meaning.

use serde_json::{Value, json};

/// As one gets to know them; those not named follow.
const TAGS: [&str; 6] = [
    "Connect",
    "Connections",
    "Appointments",
    "Coaches",
    "Queue",
    "Health",
];

pub(super) fn complete(document: &mut Value) {
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| {
            let place = TAGS.iter().position(|name| tag["name"] == *name);
            place.unwrap_or(TAGS.len())
        });
    }
    for operation in operations(document) {
        if operation.get("security").is_none() {
            operation["security"] = json!([]);
        }
    }
    let schemas = document["components"]["schemas"].clone();
    tidy_references(document, &schemas);
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths
        .filter_map(|(_, path)| path.as_object_mut())
        .flatten()
        .map(|(_, operation)| operation)
}

/// Whether it constrains nothing: what it says stands beside `allOf`, too.
fn is_remark(part: &Value) -> bool {
    let mut words = part.as_object().into_iter().flatten();
    words.all(|(word, _)| matches!(word.as_str(), "description" | "example" | "nullable"))
}

/// What is said of a property whose schema has a name stands beside `allOf` and once more inside it,
/// where some generators take it for a schema of its own.
fn tidy_references(value: &mut Value, schemas: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(all)) = object.get_mut("allOf") {
                all.retain(|part| !is_remark(part));
                let name = all.first().and_then(|part| part["$ref"].as_str());
                let schema = name.and_then(|name| name.rsplit('/').next());
                let kind = schema.and_then(|schema| schemas[schema].get("type"));
                if let Some(kind) = kind.filter(|_| object.contains_key("nullable")) {
                    object.insert("type".to_owned(), kind.clone());
                }
            }
            for part in object.values_mut() {
                tidy_references(part, schemas);
            }
        }
        Value::Array(parts) => {
            for part in parts {
                tidy_references(part, schemas);
            }
        }
        _ => {}
    }
}
