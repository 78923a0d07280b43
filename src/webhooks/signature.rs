//! The signature of a delivery: HMAC-SHA256 over `id.timestamp.body`, as the Standard Webhooks
//! specification has it (standardwebhooks.com, "Symmetric").

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Key;

/// The value of `webhook-signature`: one signature for each key, so that a receiver may know either of
/// two while the secret is being changed.
pub(super) fn signatures<'a>(
    keys: impl IntoIterator<Item = &'a Key>,
    id: &str,
    timestamp: i64,
    body: &str,
) -> String {
    let signed: Vec<String> = keys
        .into_iter()
        .map(|key| sign(key, id, timestamp, body))
        .collect();
    signed.join(" ")
}

fn sign(key: &Key, id: &str, timestamp: i64, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.bytes()).expect("HMAC takes keys of any length");
    for part in [id, ".", &timestamp.to_string(), ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of the reference libraries (github.com/standard-webhooks/standard-webhooks).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key(secret: &str) -> Key {
        Key::of(&secret.into()).expect("a secret")
    }

    #[test]
    fn the_published_example_is_signed_as_published() {
        assert_eq!(signatures([&key(SECRET)], ID, AT, BODY), SIGNATURE);
    }

    #[test]
    fn another_id_time_body_or_key_has_another_signature() {
        let other = key("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let known = key(SECRET);
        for changed in [
            signatures([&other], ID, AT, BODY),
            signatures([&known], "msg_other", AT, BODY),
            signatures([&known], ID, AT + 1, BODY),
            signatures([&known], ID, AT, "{}"),
        ] {
            assert_ne!(changed, SIGNATURE);
        }
    }

    #[test]
    fn two_keys_sign_side_by_side() {
        let other = key("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let both = signatures([&key(SECRET), &other], ID, AT, BODY);
        let alone = signatures([&other], ID, AT, BODY);
        assert_eq!(both, format!("{SIGNATURE} {alone}"));
    }
}
