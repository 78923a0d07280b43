//! Entity tags: what a client has seen, so that nothing newer is overwritten and nothing known is sent
//! again (RFC 9110, sections 8.8.3 and 13).
//!
//! Owns the form of tags, and `If-Match` and `If-None-Match`. Whether a change may be written is asked
//! by `store`, in the transaction that writes it.

use std::fmt;

use poem::http::HeaderValue;
use poem::{Request, RequestBody};
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaParamIn, MetaSchema, MetaSchemaRef};
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use sha2::{Digest, Sha256};

use super::problem::{Code, Problem};
use crate::domain::Connection;

/// A strong tag of ours, as it stands between its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityTag(String);

impl EntityTag {
    /// Of what PUT can change of a connection. Counts and times of syncs move without it: a change that
    /// was refused for those would be refused for nothing.
    pub(super) fn of_settings(connection: &Connection) -> Self {
        let version = connection.settings_version;
        Self(format!("{}-{version}", connection.id.0.simple()))
    }

    /// Of all that is said.
    fn of_answer(answer: &impl ToJSON) -> Self {
        let hash = Sha256::digest(answer.to_json_string().as_bytes());
        Self(data_encoding::HEXLOWER.encode(&hash))
    }
}

/// As in a header, quotes included.
impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// What was asked for, unless the client has it.
#[derive(ApiResponse)]
pub(super) enum Tagged<T: ToJSON> {
    /// As it now is.
    #[oai(status = 200)]
    Whole(
        Json<T>,
        /// Changes with anything in the answer, but for what the clock alone moves.
        #[oai(header = "ETag")]
        String,
    ),
    /// It is as the client has it.
    #[oai(status = 304)]
    Known(
        /// As it was sent.
        #[oai(header = "ETag")]
        String,
    ),
}

impl<T: ToJSON> Tagged<T> {
    pub(super) fn new(answer: T, if_none_match: &Condition) -> Self {
        let tag = EntityTag::of_answer(&answer);
        let text = tag.to_string();
        Self::under(&tag, text, answer, if_none_match)
    }

    /// With a tag of `state`: of an answer in which something moves by itself, such as an age. The tag is
    /// weak, for the same one stands for different bytes.
    pub(super) fn of_state(state: &T, answer: T, if_none_match: &Condition) -> Self {
        let tag = EntityTag::of_answer(state);
        let text = format!("W/{tag}");
        Self::under(&tag, text, answer, if_none_match)
    }

    fn under(tag: &EntityTag, text: String, answer: T, if_none_match: &Condition) -> Self {
        if if_none_match.knows(tag) {
            Self::Known(text)
        } else {
            Self::Whole(Json(answer), text)
        }
    }
}

/// `If-Match` or `If-None-Match`: whichever an operation calls this parameter.
#[derive(Debug)]
pub(super) struct Condition(Option<Tags>);

impl Condition {
    /// As `If-Match`, by the strong comparison; without the header anything may be changed.
    pub(super) fn allows(&self, present: &EntityTag) -> bool {
        match &self.0 {
            None | Some(Tags::Any) => true,
            Some(Tags::Listed(tags)) => tags
                .iter()
                .any(|tag| !tag.is_weak && tag.opaque == present.0.as_bytes()),
        }
    }

    /// As `If-None-Match`, by the weak comparison; without the header nothing is known.
    fn knows(&self, present: &EntityTag) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::Listed(tags)) => tags.iter().any(|tag| tag.opaque == present.0.as_bytes()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`
    Any,
    Listed(Vec<SentTag>),
}

/// As somebody sent it.
#[derive(Debug, PartialEq, Eq)]
struct SentTag {
    is_weak: bool,
    opaque: Vec<u8>,
}

/// What clients are told to send. What is read is a little more: bytes beyond ASCII, empty items.
const PATTERN: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;

/// Read here because the `headers` crate passes over what is no tag: a change that was to be made on a
/// condition would then be refused as outdated, and nobody would find out why.
fn parse(text: &[u8]) -> Option<Tags> {
    if text.trim_ascii() == b"*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    let mut rest = without_separators(text);
    while !rest.is_empty() {
        let (is_weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let opaque = quoted.strip_prefix(b"\"")?;
        let end = opaque.iter().position(|byte| *byte == b'"')?;
        let (opaque, after) = opaque.split_at(end);
        // `etagc` of RFC 9110, section 8.8.3.
        if !opaque
            .iter()
            .all(|byte| matches!(byte, 0x21..=0x7e | 0x80..))
        {
            return None;
        }
        let after = after[1..].trim_ascii_start();
        if !after.is_empty() && !after.starts_with(b",") {
            return None;
        }
        tags.push(SentTag {
            is_weak,
            opaque: opaque.to_vec(),
        });
        rest = without_separators(after);
    }
    (!tags.is_empty()).then_some(Tags::Listed(tags))
}

/// Empty items of a list are passed over, as RFC 9110, section 5.6.1.2, asks for.
fn without_separators(text: &[u8]) -> &[u8] {
    let is_tag = |byte: &u8| !matches!(byte, b' ' | b'\t' | b',');
    let start = text.iter().position(is_tag).unwrap_or(text.len());
    &text[start..]
}

impl<'a> ApiExtractor<'a> for Condition {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = String;
    type ParamRawType = String;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(MetaSchemaRef::Inline(Box::new(MetaSchema {
            pattern: Some(PATTERN.to_owned()),
            ..MetaSchema::new("string")
        })))
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<String>,
    ) -> poem::Result<Self> {
        let lines = request.headers().get_all(options.name);
        let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            return Ok(Self(None));
        }
        let tags = parse(&lines.join(&b',')).ok_or_else(|| {
            Problem::new(Code::InvalidParameter).because(format!(
                "The header `{}` must be * or tags as they were given out, in double quotes, \
                 comma separated.",
                options.name
            ))
        })?;
        Ok(Self(Some(tags)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        Condition(Some(parse(text.as_bytes()).expect("a condition")))
    }

    fn tag(opaque: &str) -> EntityTag {
        EntityTag(opaque.to_owned())
    }

    #[test]
    fn a_change_needs_a_strong_tag_and_knowing_is_content_with_a_weak_one() {
        for (sent, allows, knows) in [
            ("*", true, true),
            (" * ", true, true),
            ("\"a\"", true, true),
            ("\"b\" , \"a\"", true, true),
            (",, \"b\",\t\"a\",", true, true),
            ("W/\"a\"", false, true),
            ("\"b\", W/\"a\"", false, true),
            ("\"b\"", false, false),
            ("\"a,\"", false, false),
            ("\"\"", false, false),
            ("\"*\"", false, false),
        ] {
            let condition = condition(sent);
            assert_eq!(condition.allows(&tag("a")), allows, "{sent}");
            assert_eq!(condition.knows(&tag("a")), knows, "{sent}");
        }
        assert!(condition("\"x,y\"").allows(&tag("x,y")));
        assert!(Condition(None).allows(&tag("a")));
        assert!(!Condition(None).knows(&tag("a")));
    }

    #[test]
    fn what_is_no_tag_is_refused_and_not_passed_over() {
        for text in [
            "",
            " ",
            ",",
            "a",
            "\"a",
            "a\"",
            "\"a\" \"b\"",
            "\"a\"b",
            "w/\"a\"",
            "W/a",
            "*, \"a\"",
            "\"a\", *",
            "\"a b\"",
            "'a'",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
