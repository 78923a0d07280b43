//! Secrets as they lie in the database.
//!
//! A sealed secret is the text `v1.KEY_ID.base64url(nonce ‖ ciphertext ‖ tag)`, made with
//! XChaCha20-Poly1305 and a random nonce. Table, column, row and key id are authenticated with it,
//! so that a text copied to another place does not open there.

use std::fmt;

use chacha20poly1305::{AeadInOut, Tag, XNonce};
use data_encoding::BASE64URL_NOPAD;
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::keyring::{KeyRing, is_key_id};
use crate::domain::Entropy;

const VERSION: &str = "v1";
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The one place a sealed secret belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub table: &'static str,
    pub column: &'static str,
    /// The id of the row: for tokens, that of the connection.
    pub row: Uuid,
}

impl Context {
    /// Every part behind its length, so that no two contexts share an encoding.
    fn associated_data(&self, key_id: &str) -> Vec<u8> {
        let row = self.row.as_bytes();
        let parts: [&[u8]; 5] = [
            VERSION.as_bytes(),
            self.table.as_bytes(),
            self.column.as_bytes(),
            row,
            key_id.as_bytes(),
        ];
        let mut data = Vec::new();
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_le_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// A secret in its stored form. Not secret itself, yet nothing to show either.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(String);

impl Sealed {
    /// Takes a stored text as it is; what is wrong with it shows when it is opened.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }

    fn parts(&self) -> Option<(&str, Vec<u8>)> {
        let mut parts = self.0.splitn(3, '.');
        let version = parts.next()?;
        let key_id = parts.next()?;
        let body = BASE64URL_NOPAD.decode(parts.next()?.as_bytes()).ok()?;
        let sound =
            version == VERSION && is_key_id(key_id) && body.len() >= NONCE_BYTES + TAG_BYTES;
        sound.then_some((key_id, body))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(redacted)")
    }
}

/// Why a stored secret does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Putting the key back into the ring helps.
    #[error("the secret is sealed with the key `{0}`, which is not in the key ring")]
    UnknownKey(String),
    /// Another place's secret, another key under the same id, or a changed byte.
    #[error("the secret does not belong here or was changed")]
    Tampered,
    #[error("the stored text is not a sealed secret")]
    Malformed,
}

impl KeyRing {
    /// Seals `secret` under the first key, for `context` alone.
    pub fn seal(&self, secret: &SecretString, context: Context, entropy: &dyn Entropy) -> Sealed {
        let key = self.current();
        let mut nonce = XNonce::default();
        entropy.fill(&mut nonce);
        // Encrypted where it lies: no copy of the plaintext outlives this.
        let mut body = secret.expose_secret().as_bytes().to_vec();
        let tag = key
            .cipher
            .encrypt_inout_detached(
                &nonce,
                &context.associated_data(&key.id),
                body.as_mut_slice().into(),
            )
            .expect("the cipher refuses only texts beyond 256 GiB");
        let encoded = BASE64URL_NOPAD.encode(&[&nonce[..], &body, &tag].concat());
        Sealed(format!("{VERSION}.{}.{encoded}", key.id))
    }

    /// Opens what [`KeyRing::seal`] made for the same context, with whichever key sealed it.
    pub fn open(&self, sealed: &Sealed, context: Context) -> Result<SecretString, Unreadable> {
        let (key_id, body) = sealed.parts().ok_or(Unreadable::Malformed)?;
        let key = self
            .find(key_id)
            .ok_or_else(|| Unreadable::UnknownKey(key_id.to_owned()))?;
        let (nonce, rest) = body.split_at(NONCE_BYTES);
        let (ciphertext, tag) = rest.split_at(rest.len() - TAG_BYTES);
        let nonce = XNonce::try_from(nonce).map_err(|_| Unreadable::Malformed)?;
        let tag = Tag::try_from(tag).map_err(|_| Unreadable::Malformed)?;
        // Exactly as long as the secret: turning it into one moves it and leaves no copy behind.
        let mut plaintext = ciphertext.to_vec();
        key.cipher
            .decrypt_inout_detached(
                &nonce,
                &context.associated_data(key_id),
                plaintext.as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| Unreadable::Tampered)?;
        String::from_utf8(plaintext)
            .map(SecretString::from)
            .map_err(|error| {
                error.into_bytes().zeroize();
                Unreadable::Malformed
            })
    }

    /// Whether `sealed` is under the first key already: if not, rotation seals it again.
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed
            .parts()
            .is_some_and(|(key_id, _)| key_id == self.current().id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededEntropy;
    use crate::security::generate_key_line;

    const TOKEN: &str = "1//refresh-token-of-somebody";
    const PLACE: Context = Context {
        table: "coach_calendar_connections",
        column: "refresh_token",
        row: Uuid::from_u128(1),
    };

    fn line(id: &str, seed: u64) -> String {
        generate_key_line(id, &SeededEntropy::from_seed(seed))
            .expect("the id is allowed")
            .expose_secret()
            .to_owned()
    }

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(&SecretString::from(text)).expect("a key ring")
    }

    fn seal(ring: &KeyRing) -> Sealed {
        ring.seal(
            &SecretString::from(TOKEN),
            PLACE,
            &SeededEntropy::from_seed(9),
        )
    }

    #[test]
    fn what_was_sealed_opens_at_its_place() {
        let ring = ring(&line("k1", 1));
        let opened = ring.open(&seal(&ring), PLACE).expect("opens");
        assert_eq!(opened.expose_secret(), TOKEN);
        assert!(!seal(&ring).as_str().contains("refresh"));
    }

    #[test]
    fn a_secret_moved_to_another_row_column_or_table_does_not_open() {
        let ring = ring(&line("k1", 1));
        let sealed = seal(&ring);
        let elsewhere = [
            Context {
                row: Uuid::from_u128(2),
                ..PLACE
            },
            Context {
                column: "access_token",
                ..PLACE
            },
            Context {
                table: "oauth_states",
                ..PLACE
            },
            // The same letters, cut differently.
            Context {
                table: "coach_calendar_connectionsrefresh",
                column: "_token",
                ..PLACE
            },
        ];
        for context in elsewhere {
            assert_eq!(
                ring.open(&sealed, context).err(),
                Some(Unreadable::Tampered)
            );
        }
    }

    #[test]
    fn no_changed_character_goes_unnoticed() {
        let ring = ring(&line("k1", 1));
        let text = seal(&ring).into_string();
        for position in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = Sealed::from_stored(String::from_utf8(bytes).expect("ASCII"));
            assert!(ring.open(&changed, PLACE).is_err(), "position {position}");
        }
    }

    #[test]
    fn rotation_keeps_old_secrets_readable_and_tells_them_apart() {
        let (old, new) = (line("old", 1), line("new", 2));
        let before = seal(&ring(&old));
        let both = ring(&format!("{new},{old}"));
        assert!(both.open(&before, PLACE).is_ok());
        assert!(!both.is_current(&before));
        let after = seal(&both);
        assert!(both.is_current(&after));
        assert!(ring(&new).open(&after, PLACE).is_ok());
        assert_eq!(
            ring(&new).open(&before, PLACE).err(),
            Some(Unreadable::UnknownKey("old".to_owned()))
        );
    }

    #[test]
    fn another_key_under_the_same_id_does_not_open() {
        let sealed = seal(&ring(&line("k1", 1)));
        let opened = ring(&line("k1", 2)).open(&sealed, PLACE);
        assert_eq!(opened.err(), Some(Unreadable::Tampered));
    }

    #[test]
    fn texts_that_are_not_sealed_are_malformed() {
        let ring = ring(&line("k1", 1));
        for text in ["", "v1", "v1.k1", "v1.k1.AAAA", "v1.k1.!", TOKEN] {
            let sealed = Sealed::from_stored(text.to_owned());
            assert_eq!(ring.open(&sealed, PLACE).err(), Some(Unreadable::Malformed));
            assert!(!ring.is_current(&sealed));
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let ring = ring(&line("k1", 1));
        assert_eq!(format!("{:?}", seal(&ring)), "Sealed(redacted)");
    }
}
