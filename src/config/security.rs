//! The keys of tokens at rest, and whose API tokens are believed.

use secrecy::SecretString;

use super::address;
use super::reader::{Reader, Section};
use super::setting::{Allowed, Preset, Setting};
use crate::security::KeyRing;
use crate::security::api_token::{Realm, Trust};

/// HS256 wants a key at least as long as its hash: RFC 7518, section 3.2.
const MIN_SECRET_BYTES: usize = 32;

pub(super) static TOKEN_ENCRYPTION_KEYS: Setting = Setting {
    name: "TOKEN_ENCRYPTION_KEYS",
    default: Preset::Unset("`serve` refuses to start"),
    meaning: "keys of the stored provider tokens; the first encrypts, all decrypt",
    allowed: Allowed::Words(
        "id:base64(32 bytes)[,id:...] as printed by `calendar-integration keys generate`",
    ),
    secret: true,
};

pub(super) static AUTH_JWT_SECRET: Setting = Setting {
    name: "AUTH_JWT_SECRET",
    default: Preset::Unset("AUTH_JWKS_URL decides; without either `serve` refuses to start"),
    meaning: "HS256 secret that API tokens are signed with",
    allowed: Allowed::Words("32 bytes or more; or AUTH_JWKS_URL in its place"),
    secret: true,
};

pub(super) static AUTH_JWKS_URL: Setting = Setting {
    name: "AUTH_JWKS_URL",
    default: Preset::Unset("AUTH_JWT_SECRET decides; without either `serve` refuses to start"),
    meaning: "JWKS of the issuer of API tokens (RS256, ES256, EdDSA), instead of AUTH_JWT_SECRET",
    allowed: Allowed::Words(address::DOCUMENT),
    secret: false,
};

pub(super) static AUTH_ISSUER: Setting = Setting {
    name: "AUTH_ISSUER",
    default: Preset::Unset("not checked"),
    meaning: "`iss` that API tokens must carry",
    allowed: Allowed::Words("one line of text"),
    secret: false,
};

pub(super) static AUTH_AUDIENCE: Setting = Setting {
    name: "AUTH_AUDIENCE",
    default: Preset::Unset("not checked"),
    meaning: "`aud` that API tokens must carry",
    allowed: Allowed::Words("one line of text"),
    secret: false,
};

impl Section for KeyRing {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.secret(&TOKEN_ENCRYPTION_KEYS, |_| true);
        let text = reader.require(&TOKEN_ENCRYPTION_KEYS, text, "must be set")?;
        match Self::parse(&text) {
            Ok(keys) => Some(keys),
            Err(error) => {
                let rule = format!("{error}; allowed is {}", TOKEN_ENCRYPTION_KEYS.allowed);
                reader.refuse(&TOKEN_ENCRYPTION_KEYS, rule);
                None
            }
        }
    }
}

/// Whose API tokens are believed.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    pub trust: Trust,
    pub realm: Realm,
}

impl Section for AuthConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let secret = read_secret(reader);
        let jwks_url = reader.parse(&AUTH_JWKS_URL, address::document);
        let realm = read_realm(reader);
        let trust = match (secret, jwks_url) {
            (Some(secret), None) => Trust::Secret(secret),
            (None, Some(url)) => Trust::Jwks(url),
            (Some(_), Some(_)) => {
                reader.refuse(&AUTH_JWT_SECRET, "must not be set beside AUTH_JWKS_URL");
                return None;
            }
            (None, None) if reader.refused(&AUTH_JWKS_URL) => return None,
            (None, None) => {
                reader.require(&AUTH_JWT_SECRET, None::<()>, "must be set")?;
                return None;
            }
        };
        Some(Self { trust, realm })
    }
}

/// What `token` signs with.
#[derive(Clone, Debug)]
pub struct SigningConfig {
    pub secret: SecretString,
    pub realm: Realm,
}

impl Section for SigningConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let secret = read_secret(reader);
        let secret = reader.require(&AUTH_JWT_SECRET, secret, "must be set to sign tokens");
        let realm = read_realm(reader);
        Some(Self {
            secret: secret?,
            realm,
        })
    }
}

fn read_realm(reader: &mut Reader<'_>) -> Realm {
    Realm {
        issuer: reader.line(&AUTH_ISSUER),
        audience: reader.line(&AUTH_AUDIENCE),
    }
}

fn read_secret(reader: &mut Reader<'_>) -> Option<SecretString> {
    reader.secret(&AUTH_JWT_SECRET, |text| text.len() >= MIN_SECRET_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn names_of_problems<S: Section>(pairs: &[(&str, &str)]) -> Vec<String> {
        let loaded = S::load(&Sources::of_pairs(pairs.iter().copied()));
        let problems = loaded.err().map(|invalid| invalid.problems().to_vec());
        let problems = problems.unwrap_or_default().into_iter();
        problems.map(|problem| problem.setting).collect()
    }

    #[test]
    fn one_of_secret_and_jwks_is_needed_and_allowed() {
        let url = ("AUTH_JWKS_URL", "https://id.example.org/keys?p=1");
        let secret = ("AUTH_JWT_SECRET", SECRET);
        assert!(names_of_problems::<AuthConfig>(&[url]).is_empty());
        assert!(names_of_problems::<AuthConfig>(&[secret]).is_empty());
        for (pairs, expected) in [
            (&[][..], "AUTH_JWT_SECRET"),
            (&[url, secret], "AUTH_JWT_SECRET"),
            (&[("AUTH_JWT_SECRET", "short")], "AUTH_JWT_SECRET"),
            (
                &[("AUTH_JWKS_URL", "http://id.example.org")],
                "AUTH_JWKS_URL",
            ),
        ] {
            assert_eq!(names_of_problems::<AuthConfig>(pairs), [expected]);
        }
    }

    #[test]
    fn signing_needs_the_secret() {
        assert_eq!(names_of_problems::<SigningConfig>(&[]), ["AUTH_JWT_SECRET"]);
        assert!(names_of_problems::<SigningConfig>(&[("AUTH_JWT_SECRET", SECRET)]).is_empty());
    }

    #[test]
    fn a_bad_key_ring_is_explained_without_the_key() {
        let sources = Sources::of_pairs([("TOKEN_ENCRYPTION_KEYS", "k1:aHVudGVyMg==")]);
        let invalid = KeyRing::load(&sources).expect_err("refused");
        let text = format!("{invalid} {invalid:?}");
        assert!(text.contains("entry 1") && !text.contains("aHVudGVyMg"));
        assert_eq!(names_of_problems::<KeyRing>(&[]), ["TOKEN_ENCRYPTION_KEYS"]);
    }
}
