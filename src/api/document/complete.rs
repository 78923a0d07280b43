//! What the generator of the document cannot say, put into it afterwards.
//!
//! Things that generators of clients and linters ask for: tags in the order in which one reads about
//! them, an explicit "no token" where none is needed, references without what generators stumble over,
//! and that a body may have no other fields.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// As one gets to know them; those not named follow.
const TAGS: [&str; 8] = [
    "Connect",
    "Connections",
    "Appointments",
    "Coaches",
    "Queue",
    "Audit",
    "Webhooks",
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
    drop_unused(document);
    close_bodies(document);
}

/// What was written out where it is needed may have no other place.
fn drop_unused(document: &mut Value) {
    let mut names = Vec::new();
    references(document, &mut names);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| names.contains(name));
    }
}

/// What bodies are made of takes no unknown field. Answers stay open: new fields in them break nobody.
fn close_bodies(document: &mut Value) {
    let mut names = Vec::new();
    for operation in operations(document) {
        references(&operation["requestBody"], &mut names);
    }
    let mut seen = BTreeSet::new();
    while let Some(name) = names.pop() {
        let schema = &mut document["components"]["schemas"][&name];
        if seen.insert(name) {
            references(schema, &mut names);
            if schema["type"] == "object" {
                schema["additionalProperties"] = json!(false);
            }
        }
    }
}

/// The names of the schemas that are referred to directly.
fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let reference = object.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|reference| reference.rsplit('/').next());
            names.extend(name.map(str::to_owned));
            object.values().for_each(|part| references(part, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| references(part, names)),
        _ => {}
    }
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
/// where some generators take it for a schema of its own. Others pass over `nullable` beside a reference:
/// what may be null is written out.
fn tidy_references(value: &mut Value, schemas: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(all)) = object.get_mut("allOf") {
                all.retain(|part| !is_remark(part));
                let name = all.first().and_then(|part| part["$ref"].as_str());
                let name = name.and_then(|name| name.rsplit('/').next());
                let schema = name.and_then(|name| schemas[name].as_object());
                if let Some(schema) = schema.filter(|_| object.contains_key("nullable")) {
                    object.remove("allOf");
                    for (word, said) in schema {
                        object.entry(word).or_insert_with(|| said.clone());
                    }
                    if let Some(Value::Array(words)) = object.get_mut("enum") {
                        words.push(Value::Null);
                    }
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
