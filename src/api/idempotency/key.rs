//! Keys as callers send them, and as they are stored: hashed.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use poem::Request;
use poem::http::Uri;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::Type;
use sha2::{Digest, Sha256};

use crate::api::problem::{Code, Problem};
use crate::security::api_token::Caller;

pub(super) const HEADER: &str = "Idempotency-Key";
const MAX_LENGTH: usize = 255;

/// The key, if one was sent.
pub(super) fn of(request: &Request) -> Result<Option<String>, Problem> {
    let mut sent = request.headers().get_all(HEADER).iter();
    let Some(first) = sent.next() else {
        return Ok(None);
    };
    let bytes = first.as_bytes();
    let is_one = sent.next().is_none()
        && (1..=MAX_LENGTH).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_graphic);
    let key = is_one.then(|| bytes.iter().copied().map(char::from).collect());
    key.map(Some).ok_or_else(|| {
        Problem::new(Code::InvalidParameter).because(format!(
            "The header `{HEADER}` must be one key of 1 to {MAX_LENGTH} visible ASCII characters."
        ))
    })
}

/// A key means something only together with its caller.
pub(super) fn hash_of_key(caller: &Caller, key: &str) -> String {
    let (role, subject) = (caller.role().as_str(), caller.subject());
    hash([role.as_bytes(), subject.as_bytes(), key.as_bytes()])
}

/// Of what was asked for. The key, which is stored nowhere, is in it too: nobody who reads the table can
/// try out what a request may have said of a client.
pub(super) fn hash_of_request(key: &str, address: &Uri, body: &[u8]) -> String {
    let query = address.query().unwrap_or_default();
    hash([
        key.as_bytes(),
        address.path().as_bytes(),
        query.as_bytes(),
        body,
    ])
}

/// Each part with its length, so that no two lists look alike.
fn hash<const N: usize>(parts: [&[u8]; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}

/// How the OpenAPI document describes a key.
#[derive(Debug)]
pub(in crate::api) struct IdempotencyKey;

impl Type for IdempotencyKey {
    const IS_REQUIRED: bool = false;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_idempotency_key".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX_LENGTH),
            pattern: Some("^[!-~]+$".to_owned()),
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::api_token::Role;

    fn sent(keys: &[&[u8]]) -> Result<Option<String>, Problem> {
        let mut request = Request::builder().finish();
        for key in keys {
            let value = poem::http::HeaderValue::from_bytes(key).expect("a value");
            request.headers_mut().append(HEADER, value);
        }
        of(&request)
    }

    #[test]
    fn a_key_is_one_word_of_visible_ascii() {
        assert_eq!(sent(&[]).expect("none"), None);
        let longest = "~".repeat(MAX_LENGTH);
        for key in ["k", "\"k-1\"", "!", longest.as_str()] {
            let read = sent(&[key.as_bytes()]).expect("a key");
            assert_eq!(read.as_deref(), Some(key));
        }
        let too_long = "k".repeat(MAX_LENGTH + 1);
        for keys in [
            vec![&b""[..]],
            vec![too_long.as_bytes()],
            vec![b"a b"],
            vec![b"a\tb"],
            vec!["schlüssel".as_bytes()],
            vec![b"\xff"],
            vec![b"a", b"a"],
        ] {
            let refused = sent(&keys).expect_err("refused");
            assert_eq!(refused.code, Code::InvalidParameter);
            assert!(refused.detail.contains(HEADER));
        }
    }

    #[test]
    fn a_key_is_its_callers_and_a_request_is_path_query_and_body() {
        let caller = |role, subject| Caller::new(role, subject).expect("a caller");
        let hashes = [
            hash_of_key(&caller(Role::Service, "a"), "bc"),
            hash_of_key(&caller(Role::Service, "ab"), "c"),
            hash_of_key(&caller(Role::Admin, "a"), "bc"),
            hash_of_key(&caller(Role::Service, "a"), "b"),
        ];
        assert_all_differ(&hashes);
        let asked = |key, address: &'static str, body: &[u8]| {
            hash_of_request(key, &Uri::from_static(address), body)
        };
        let hashes = [
            asked("k", "/a?b", b"c"),
            asked("l", "/a?b", b"c"),
            asked("k", "/b?b", b"c"),
            asked("k", "/a?c", b"c"),
            asked("k", "/a", b"bc"),
            asked("k", "/a?b", b"d"),
            asked("k", "/a?b", b""),
        ];
        assert_all_differ(&hashes);
        assert_eq!(asked("k", "/a?b", b"c"), hashes[0]);
    }

    fn assert_all_differ(hashes: &[String]) {
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }
}
