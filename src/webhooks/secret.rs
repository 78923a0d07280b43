//! Secrets of webhooks: `whsec_` and the base64 of 24 to 64 random bytes, as the specification asks.

use data_encoding::BASE64;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::Entropy;

const PREFIX: &str = "whsec_";
const BYTES: usize = 32;

/// A fresh secret.
pub(super) fn generate(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; BYTES]);
    entropy.fill(&mut *bytes);
    let encoded = Zeroizing::new(BASE64.encode(&*bytes));
    SecretString::from(format!("{PREFIX}{}", *encoded))
}

/// The bytes that a secret stands for. Wiped when dropped.
pub(super) struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// `None` if the text is no secret of a webhook.
    pub(super) fn of(secret: &SecretString) -> Option<Self> {
        let encoded = secret.expose_secret().strip_prefix(PREFIX)?;
        let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededEntropy;

    #[test]
    fn a_fresh_secret_has_the_form_of_the_specification() {
        let entropy = SeededEntropy::from_seed(1);
        let [one, other] = [(); 2].map(|()| generate(&entropy));
        assert!(one.expose_secret().starts_with("whsec_"));
        assert_ne!(one.expose_secret(), other.expose_secret());
        let key = Key::of(&one).expect("a key");
        assert_eq!(key.bytes().len(), BYTES);
        for text in ["", "whsec_", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let read = Key::of(&text.into());
            assert!(read.is_none_or(|key| key.bytes().is_empty()), "{text}");
        }
    }
}
