//! A value against a schema: every mistake, by its JSON pointer, without the value.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde_json::{Map, Value};

use crate::api::problem::FieldProblem;
use crate::api::time;

/// More mistakes than these are not counted up: whoever sent them has one cause to look for.
const MAX_PROBLEMS: usize = 50;
/// A field name that is not ours is repeated up to here.
const MAX_NAME_CHARS: usize = 64;

pub(super) fn check(
    value: &Value,
    schema: &MetaSchemaRef,
    registry: &Registry,
) -> Vec<FieldProblem> {
    let mut checker = Checker {
        registry,
        problems: Vec::new(),
    };
    checker.value(value, schema, "");
    checker.problems
}

struct Checker<'a> {
    registry: &'a Registry,
    problems: Vec<FieldProblem>,
}

impl Checker<'_> {
    fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(FieldProblem {
                pointer: pointer.to_owned(),
                detail: detail.into(),
            });
        }
    }

    fn value(&mut self, value: &Value, schema: &MetaSchemaRef, pointer: &str) {
        let schema = match schema {
            MetaSchemaRef::Inline(schema) => &**schema,
            MetaSchemaRef::Reference(name) => match self.registry.schemas.get(name) {
                Some(schema) => schema,
                // Registering a type registers what it refers to.
                None => return,
            },
        };
        for part in &schema.all_of {
            self.value(value, part, pointer);
        }
        match schema.ty {
            "object" => match value {
                Value::Object(fields) => self.object(fields, schema, pointer),
                _ => self.refuse(pointer, "must be an object"),
            },
            "array" => match value {
                Value::Array(items) => self.array(items, schema, pointer),
                _ => self.refuse(pointer, "must be an array"),
            },
            "string" => match value {
                Value::String(text) => self.string(text, schema, pointer),
                _ => self.refuse(pointer, "must be a string"),
            },
            "boolean" if !value.is_boolean() => self.refuse(pointer, "must be true or false"),
            "integer" if !value.is_i64() => self.refuse(pointer, "must be an integer"),
            _ => {}
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, schema: &MetaSchema, pointer: &str) {
        for name in &schema.required {
            if fields.get(*name).is_none_or(Value::is_null) {
                self.refuse(&format!("{pointer}/{name}"), "is required");
            }
        }
        for (name, value) in fields {
            match schema.properties.iter().find(|(known, _)| known == name) {
                // Null is as good as absent, which was looked at above.
                Some(_) if value.is_null() => {}
                Some((_, schema)) => self.value(value, schema, &format!("{pointer}/{name}")),
                None => {
                    let known: Vec<_> = schema.properties.iter().map(|(name, _)| *name).collect();
                    let pointer = format!("{pointer}/{}", escaped(name));
                    self.refuse(
                        &pointer,
                        format!("unknown field; allowed are {}", known.join(", ")),
                    );
                }
            }
        }
    }

    fn array(&mut self, items: &[Value], schema: &MetaSchema, pointer: &str) {
        let least = schema.min_items.unwrap_or(0);
        let most = schema.max_items.unwrap_or(usize::MAX);
        if items.len() < least {
            self.refuse(pointer, format!("must have at least {least} items"));
        }
        if items.len() > most {
            return self.refuse(pointer, format!("must have at most {most} items"));
        }
        let Some(of_item) = &schema.items else { return };
        for (index, item) in items.iter().enumerate() {
            self.value(item, of_item, &format!("{pointer}/{index}"));
        }
    }

    fn string(&mut self, text: &str, schema: &MetaSchema, pointer: &str) {
        if !schema.enum_items.is_empty() && !schema.enum_items.iter().any(|item| item == text) {
            let allowed: Vec<_> = schema.enum_items.iter().filter_map(Value::as_str).collect();
            return self.refuse(pointer, format!("allowed are {}", allowed.join(", ")));
        }
        match schema.format {
            Some("uuid") if uuid::Uuid::parse_str(text).is_err() => {
                self.refuse(pointer, "must be a UUID");
            }
            Some("date-time") if time::parse(text).is_none() => self.refuse(
                pointer,
                "must be an RFC 3339 instant with its offset, such as 2026-11-01T12:00:00Z",
            ),
            _ => {}
        }
        let length = text.chars().count();
        if schema.min_length.is_some_and(|least| length < least) {
            self.refuse(pointer, "must not be empty");
        }
        if let Some(most) = schema.max_length.filter(|most| length > *most) {
            self.refuse(pointer, format!("must have at most {most} characters"));
        }
    }
}

/// RFC 6901, section 3.
fn escaped(name: &str) -> String {
    let short: String = name.chars().take(MAX_NAME_CHARS).collect();
    short.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem_openapi::types::{ParseFromJSON, Type};
    use poem_openapi::{Enum, Object};
    use serde_json::json;

    #[derive(Debug, Enum)]
    #[oai(rename_all = "snake_case")]
    enum Colour {
        Red,
        DarkBlue,
    }

    #[derive(Debug, Object)]
    #[oai(deny_unknown_fields)]
    struct Inner {
        /// Described, and thereby wrapped.
        colour: Option<Colour>,
        at: crate::api::UtcTime,
    }

    #[derive(Debug, Object)]
    #[oai(deny_unknown_fields)]
    struct Outer {
        #[oai(validator(min_items = 1, max_items = 3))]
        inner: Vec<Inner>,
        id: uuid::Uuid,
        count: Option<i64>,
        on: Option<bool>,
    }

    fn problems(value: &Value) -> Vec<(String, String)> {
        let mut registry = Registry::new();
        Outer::register(&mut registry);
        check(value, &Outer::schema_ref(), &registry)
            .into_iter()
            .map(|problem| (problem.pointer, problem.detail))
            .collect()
    }

    #[test]
    fn what_is_right_passes_and_parses() {
        let value = json!({
            "inner": [{"colour": "dark_blue", "at": "2026-11-01T12:00:00+01:00"}],
            "id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "count": null,
        });
        assert_eq!(problems(&value), []);
        assert!(Outer::parse_from_json(Some(value)).is_ok());
    }

    #[test]
    fn every_mistake_is_named_by_its_place_and_no_value_is_repeated() {
        let value = json!({
            "inner": [{"colour": "secret"}, 5, {"at": "secret", "a/b~": 1}],
            "count": 1.5, "on": "yes",
        });
        let found = problems(&value);
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        for pointer in [
            "/id",
            "/inner/0/colour",
            "/inner/0/at",
            "/inner/1",
            "/inner/2/at",
            "/inner/2/a~1b~0",
            "/count",
            "/on",
        ] {
            assert!(pointers.contains(&pointer), "{pointer} in {pointers:?}");
        }
        assert_eq!(pointers.len(), 8);
        assert!(!found.iter().any(|(_, detail)| detail.contains("secret")));
    }

    #[test]
    fn too_many_items_are_not_looked_at() {
        let value = json!({
            "inner": [1, 2, 3, 4], "id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
        });
        assert_eq!(
            problems(&value),
            [("/inner".to_owned(), "must have at most 3 items".to_owned())]
        );
        assert_eq!(
            problems(&json!([])),
            [(String::new(), "must be an object".to_owned())]
        );
    }
}
