//! Title and description templates: text with `{placeholders}`.
//!
//! `leon` was chosen because it can only substitute: no loops, no calls, no markup. The doubled form
//! `{{client_name}}` that people know from other tools is read as the same placeholder. A backslash
//! makes a brace literal.

use std::borrow::Cow;

use leon::Template;

/// Everything a template may name. The first three are a client's and empty unless shared.
pub const PLACEHOLDERS: [&str; 10] = [
    "client_name",
    "client_email",
    "notes",
    "starts_at",
    "ends_at",
    "duration_minutes",
    "time_zone",
    "meeting_url",
    "location",
    "appointment_id",
];

/// The longest template, characters.
const MAX_TEMPLATE_CHARS: usize = 2_000;

/// Why a template was refused when it was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    #[error("unknown placeholder {{{0}}}; allowed are {allowed}", allowed = allowed())]
    UnknownPlaceholder(String),
    #[error(
        "a brace is not closed or stands alone; write a placeholder as {{client_name}} and a literal brace as \\{{"
    )]
    Unbalanced,
    #[error("must have at most {MAX_TEMPLATE_CHARS} characters")]
    TooLong,
    #[error("must not hold control characters other than line breaks and tabs")]
    ControlCharacter,
}

fn allowed() -> String {
    PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ")
}

/// Checks a template before it is saved.
///
/// # Errors
/// Says what is wrong and what is allowed.
pub fn check_template(text: &str) -> Result<(), InvalidTemplate> {
    if text.chars().count() > MAX_TEMPLATE_CHARS {
        return Err(InvalidTemplate::TooLong);
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(InvalidTemplate::ControlCharacter);
    }
    let text = single_braces(text);
    let template = Template::parse(&text).map_err(|_| InvalidTemplate::Unbalanced)?;
    match template.keys().find(|key| !PLACEHOLDERS.contains(key)) {
        Some(unknown) => Err(InvalidTemplate::UnknownPlaceholder((*unknown).to_string())),
        None => Ok(()),
    }
}

/// A template filled in, and whether it named one of `names`.
///
/// A template that does not parse cannot have been saved; should one be in the table all the same,
/// its text stands as it is, which shows the coach what to mend and shares nothing.
pub(super) fn render(
    text: &str,
    values: &dyn Fn(&str) -> String,
    names: &[&str],
) -> (String, bool) {
    let text = single_braces(text);
    let Ok(template) = Template::parse(&text) else {
        return (text.into_owned(), false);
    };
    let named = template.keys().any(|key| names.contains(key));
    let filled = template.items.iter().map(|item| match item {
        leon::Item::Text(text) => Cow::Borrowed(*text),
        leon::Item::Key(key) => Cow::Owned(values(key)),
    });
    (filled.collect::<String>(), named)
}

fn single_braces(text: &str) -> Cow<'_, str> {
    if text.contains("{{") || text.contains("}}") {
        Cow::Owned(text.replace("{{", "{").replace("}}", "}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_placeholder_is_refused_by_name() {
        assert_eq!(
            check_template("Session with {clientname}"),
            Err(InvalidTemplate::UnknownPlaceholder("clientname".into()))
        );
        assert_eq!(check_template("Session with {client_name}"), Ok(()));
        assert_eq!(check_template("Session with {{ client_name }}"), Ok(()));
        assert_eq!(check_template("open {"), Err(InvalidTemplate::Unbalanced));
        assert_eq!(check_template(r"literal \{braces\}"), Ok(()));
    }

    #[test]
    fn both_spellings_fill_in_alike() {
        let values = |key: &str| format!("<{key}>");
        for text in ["at {starts_at}", "at {{starts_at}}", "at {{ starts_at }}"] {
            assert_eq!(render(text, &values, &[]).0, "at <starts_at>");
        }
        assert_eq!(render(r"\{x\}", &values, &[]).0, "{x}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_or_the_rendering_panic(text in "[{}\\\\ a-z_é\n]{0,60}") {
            let checked = check_template(&text);
            let (filled, _) = render(&text, &|_| String::new(), &["client_name"]);
            if checked.is_ok() && !text.contains(['{', '}', '\\']) {
                prop_assert_eq!(filled, text);
            }
        }
    }
}
