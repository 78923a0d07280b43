//! The keys that tokens at rest are encrypted with.
//!
//! Written `id:base64(32 bytes)[,id:…]`. The first key encrypts, all of them decrypt, so a new key
//! is put in front, everything is re-encrypted, and then the old one is taken away.

use std::fmt;

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use data_encoding::BASE64;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::Entropy;

pub(super) const KEY_BYTES: usize = 32;
const MAX_KEYS: usize = 32;
const MAX_ID_LEN: usize = 32;

/// One or more keys, the first of which encrypts.
#[derive(Clone)]
pub struct KeyRing {
    current: Key,
    older: Vec<Key>,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) cipher: XChaCha20Poly1305,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Why a text is not a key ring. Entries are counted from 1 and never shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRing {
    #[error("holds no key")]
    Empty,
    #[error("holds more than {MAX_KEYS} keys")]
    TooMany,
    #[error("entry {0} has no `:` between id and key")]
    NoId(usize),
    #[error(
        "the id of entry {0} is not 1 to {MAX_ID_LEN} of the characters a-z, A-Z, 0-9, `-` and `_`"
    )]
    BadId(usize),
    #[error("the id of entry {0} is used before")]
    RepeatedId(usize),
    #[error("the key of entry {0} is not the base64 of {KEY_BYTES} bytes")]
    BadKey(usize),
}

impl KeyRing {
    pub fn parse(text: &SecretString) -> Result<Self, InvalidKeyRing> {
        let text = text.expose_secret().trim();
        if text.is_empty() {
            return Err(InvalidKeyRing::Empty);
        }
        let mut keys: Vec<Key> = Vec::new();
        for (index, entry) in text.split(',').enumerate() {
            let position = index + 1;
            if position > MAX_KEYS {
                return Err(InvalidKeyRing::TooMany);
            }
            let key = Key::parse(entry.trim(), position)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(InvalidKeyRing::RepeatedId(position));
            }
            keys.push(key);
        }
        let older = keys.split_off(1);
        let current = keys.pop().ok_or(InvalidKeyRing::Empty)?;
        Ok(Self { current, older })
    }

    /// The ids of the keys, the encrypting one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|key| key.id.as_str())
    }

    pub(super) fn current(&self) -> &Key {
        &self.current
    }

    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.keys().find(|key| key.id == id)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

impl Key {
    fn parse(entry: &str, position: usize) -> Result<Self, InvalidKeyRing> {
        let (id, encoded) = entry
            .split_once(':')
            .ok_or(InvalidKeyRing::NoId(position))?;
        if !is_key_id(id) {
            return Err(InvalidKeyRing::BadId(position));
        }
        let bytes = BASE64
            .decode(encoded.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| InvalidKeyRing::BadKey(position))?;
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes)
            .map_err(|_| InvalidKeyRing::BadKey(position))?;
        Ok(Self {
            id: id.to_owned(),
            cipher,
        })
    }
}

/// Whether `id` may name a key: it is a part of the sealed form, whose parts a dot separates.
pub(super) fn is_key_id(id: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A fresh key under `id`, written as one entry of a key ring.
pub fn generate_key_line(id: &str, entropy: &dyn Entropy) -> Result<SecretString, InvalidKeyRing> {
    if !is_key_id(id) {
        return Err(InvalidKeyRing::BadId(1));
    }
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    entropy.fill(&mut *bytes);
    let encoded = Zeroizing::new(BASE64.encode(&*bytes));
    Ok(SecretString::from(format!("{id}:{}", *encoded)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededEntropy;

    fn line(id: &str, seed: u64) -> String {
        generate_key_line(id, &SeededEntropy::from_seed(seed))
            .expect("the id is allowed")
            .expose_secret()
            .to_owned()
    }

    fn parse(text: &str) -> Result<KeyRing, InvalidKeyRing> {
        KeyRing::parse(&SecretString::from(text))
    }

    #[test]
    fn a_generated_line_is_a_key_ring() {
        let ring = parse(&line("k1", 1)).expect("parses");
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["k1"]);
    }

    #[test]
    fn the_first_key_is_the_current_one() {
        let ring = parse(&format!("{}, {}", line("new", 1), line("old", 2))).expect("parses");
        assert_eq!(ring.current().id, "new");
        assert!(ring.find("old").is_some());
    }

    #[test]
    fn every_mistake_is_named_by_its_place() {
        let good = line("a", 1);
        for (text, expected) in [
            (" ".to_owned(), InvalidKeyRing::Empty),
            (format!("{good},"), InvalidKeyRing::NoId(2)),
            (line("a", 1).replace("a:", "a.b:"), InvalidKeyRing::BadId(1)),
            (format!("{good},{good}"), InvalidKeyRing::RepeatedId(2)),
            ("a:AAAA".to_owned(), InvalidKeyRing::BadKey(1)),
            ("a:not base64".to_owned(), InvalidKeyRing::BadKey(1)),
        ] {
            assert_eq!(parse(&text).err(), Some(expected));
        }
        let many: Vec<_> = (0..=MAX_KEYS).map(|n| line(&format!("k{n}"), 1)).collect();
        assert_eq!(parse(&many.join(",")).err(), Some(InvalidKeyRing::TooMany));
        assert!(generate_key_line("a b", &SeededEntropy::from_seed(1)).is_err());
    }

    #[test]
    fn debug_shows_ids_alone() {
        let text = line("k1", 7);
        let shown = format!("{:?}", parse(&text).expect("parses"));
        assert_eq!(shown, r#"["k1"]"#);
    }
}
