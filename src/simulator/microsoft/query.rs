//! Query options: `$filter` and `$expand` on extended properties, `$select`, `$top`, `$skip`.

use crate::simulator::ledger::CallKind;
use crate::simulator::message::Call;

use super::error::Problem;
use super::properties::canonical_id;

#[derive(Debug, Default)]
pub(super) struct Query {
    /// Id and value of the extended property to find.
    pub(super) filter: Option<(String, String)>,
    /// Ids of the extended properties to show.
    pub(super) expand: Vec<String>,
    pub(super) select: Option<Vec<String>>,
    pub(super) top: Option<usize>,
    pub(super) skip: usize,
}

impl Query {
    pub(super) fn read(call: &Call, kind: CallKind) -> Result<Self, Problem> {
        let allowed: &[&str] = match kind {
            CallKind::List => &["$filter", "$expand", "$select", "$top", "$skip"],
            CallKind::Calendars => &["$select", "$top", "$skip"],
            CallKind::Get => &["$expand", "$select"],
            CallKind::Userinfo => &["$select"],
            CallKind::Authorize
            | CallKind::TokenExchange
            | CallKind::Refresh
            | CallKind::Revoke
            | CallKind::Create
            | CallKind::Update
            | CallKind::Delete
            | CallKind::Batch => &[],
        };
        let mut query = Self::default();
        for (name, value) in &call.query {
            if !allowed.contains(&name.as_str()) {
                return Err(Problem::invalid(format!(
                    "The query option '{name}' is not allowed here."
                )));
            }
            match name.as_str() {
                "$filter" => query.filter = Some(filter(value).ok_or_else(|| bad(name))?),
                "$expand" => query.expand = expand(value).ok_or_else(|| bad(name))?,
                "$select" => {
                    let names = value.split(',').map(|name| name.trim().to_owned());
                    query.select = Some(names.collect());
                }
                "$top" => {
                    let top = value.parse().ok().filter(|top| (1..=1000).contains(top));
                    query.top = Some(top.ok_or_else(|| bad(name))?);
                }
                _ => query.skip = value.parse().map_err(|_| bad(name))?,
            }
        }
        Ok(query)
    }
}

fn bad(name: &str) -> Problem {
    Problem::invalid(format!("The query option '{name}' cannot be read."))
}

/// `singleValueExtendedProperties/any(x: x/id eq '…' and x/value eq '…')`.
fn filter(text: &str) -> Option<(String, String)> {
    let inside = text
        .trim()
        .strip_prefix("singleValueExtendedProperties/any(")?
        .strip_suffix(')')?;
    let (variable, condition) = inside.split_once(':')?;
    let variable = variable.trim();
    let (id, rest) = comparison(condition, &format!("{variable}/id"))?;
    let rest = word(rest, "and")?;
    let (value, rest) = comparison(rest, &format!("{variable}/value"))?;
    (rest.trim().is_empty()).then_some((canonical_id(&id)?, value))
}

/// `singleValueExtendedProperties($filter=id eq '…' or id eq '…')`.
fn expand(text: &str) -> Option<Vec<String>> {
    let mut rest = text
        .trim()
        .strip_prefix("singleValueExtendedProperties(")?
        .strip_suffix(')')?
        .trim()
        .strip_prefix("$filter=")?;
    let mut ids = Vec::new();
    loop {
        let (id, after) = comparison(rest, "id")?;
        ids.push(canonical_id(&id)?);
        if after.trim().is_empty() {
            return Some(ids);
        }
        rest = word(after, "or")?;
    }
}

/// `<left> eq '<text>'`, and what comes after it.
fn comparison<'a>(text: &'a str, left: &str) -> Option<(String, &'a str)> {
    quoted(word(word(text, left)?, "eq")?.trim_start())
}

fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.trim_start().strip_prefix(word)?;
    rest.starts_with([' ', '\'']).then_some(rest)
}

/// A text in single quotes, in which a quote is doubled.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "String {9C3F1F0E-5D0B-4F7A-9D58-6F1A2B7C4E10} Name event_key";
    const CANONICAL: &str = "String {9c3f1f0e-5d0b-4f7a-9d58-6f1a2b7c4e10} Name event_key";

    #[test]
    fn a_filter_names_id_and_value() {
        let text = format!(
            "singleValueExtendedProperties/any(ep: ep/id eq '{ID}' and ep/value eq 'it''s')"
        );
        assert_eq!(
            filter(&text),
            Some((CANONICAL.to_owned(), "it's".to_owned()))
        );
        assert_eq!(filter("subject eq 'x'"), None);
    }

    #[test]
    fn an_expansion_names_one_id_or_several() {
        let text = format!("singleValueExtendedProperties($filter=id eq '{ID}' or id eq '{ID}')");
        assert_eq!(expand(&text).map(|ids| ids.len()), Some(2));
    }
}
