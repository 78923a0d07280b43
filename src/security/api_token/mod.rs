//! The tokens that callers of our API present: who is calling, and may we believe it?
//!
//! Owns the check of `Authorization: Bearer` JWTs ([`Verifier`]), the keys it is made with, and the
//! signing of tokens for operators and the demo ([`Signer`]). The claims `sub`, `role` and `exp`
//! are required. Leaves to `api` what each caller may do, and the form of the refusal.

mod caller;
mod jwks;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

use secrecy::SecretString;
use url::Url;

pub use caller::{Caller, InvalidCaller, Role, Subject, UnknownRole};
pub(crate) use jwks::count_published;
pub use sign::Signer;
pub use verify::{Token, TokenError, Verifier};

/// What signatures are checked with. One of them only: which algorithms count follows from it, so
/// that a public key is never taken for a shared secret.
#[derive(Clone, Debug)]
pub enum Trust {
    /// HS256.
    Secret(SecretString),
    /// RS256, ES256 and EdDSA, with the keys published there.
    Jwks(Url),
}

/// Who issues tokens, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Realm {
    /// The `iss` of every token; `None`: not checked.
    pub issuer: Option<String>,
    /// The `aud` of every token; `None`: not checked.
    pub audience: Option<String>,
}
