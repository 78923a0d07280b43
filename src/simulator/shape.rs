//! Which JSON a provider's schema admits. Unknown names and wrong types are refused by both.

use serde_json::Value;

/// A type of JSON value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    Flag,
    Integer,
    OneOf(&'static [&'static str]),
    Object(Fields),
    List(&'static Shape),
    /// Texts under names of the caller's choice; a null removes one.
    TextMap,
    /// Part of the schema, but nothing the simulator looks into.
    Any,
}

/// Names and types of an object's members. All are optional; null is allowed everywhere, as both
/// providers read it as "not set".
pub(super) type Fields = &'static [(&'static str, Shape)];

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Unknown(String),
    Wrong(String),
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "Unknown name \"{path}\": cannot find field."),
            Self::Wrong(path) => write!(f, "Invalid value at '{path}'."),
        }
    }
}

pub(super) fn check(fields: Fields, value: &Value) -> Result<(), Misfit> {
    check_shape(&Shape::Object(fields), value, "")
}

fn check_shape(shape: &Shape, value: &Value, path: &str) -> Result<(), Misfit> {
    let fits = match (shape, value) {
        (Shape::Any, _) | (_, Value::Null) => !path.is_empty(),
        (Shape::Text, value) => value.is_string(),
        (Shape::Flag, value) => value.is_boolean(),
        (Shape::Integer, value) => value.is_i64(),
        (Shape::OneOf(words), Value::String(word)) => words.contains(&word.as_str()),
        (Shape::TextMap, Value::Object(map)) => map
            .values()
            .all(|value| value.is_string() || value.is_null()),
        (Shape::List(inner), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_shape(inner, item, &format!("{path}[{index}]"))?;
            }
            true
        }
        (Shape::Object(fields), Value::Object(members)) => {
            for (name, member) in members {
                let at = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let Some((_, shape)) = fields.iter().find(|(known, _)| known == name) else {
                    return Err(Misfit::Unknown(at));
                };
                check_shape(shape, member, &at)?;
            }
            true
        }
        (Shape::OneOf(_) | Shape::TextMap | Shape::List(_) | Shape::Object(_), _) => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Misfit::Wrong(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: Fields = &[
        ("name", Shape::Text),
        (
            "tags",
            Shape::List(&Shape::Object(&[("n", Shape::Integer)])),
        ),
    ];

    #[test]
    fn an_unknown_name_is_told_with_its_path() {
        let misfit = check(FIELDS, &json!({"tags": [{"n": 1}, {"m": 1}]}));
        assert_eq!(misfit, Err(Misfit::Unknown("tags[1].m".to_owned())));
    }

    #[test]
    fn a_wrong_type_is_told_with_its_path() {
        let misfit = check(FIELDS, &json!({"name": 1}));
        assert_eq!(misfit, Err(Misfit::Wrong("name".to_owned())));
        assert_eq!(check(FIELDS, &json!({"name": null})), Ok(()));
        assert_eq!(check(FIELDS, &json!([])), Err(Misfit::Wrong(String::new())));
    }
}
