//! What keeps secrets secret and strangers out.
//!
//! Owns the key ring and the sealed form in which provider tokens lie in the database
//! ([`KeyRing`], [`Sealed`]), and the check of the tokens that callers of our API present
//! ([`api_token`]). Leaves to others: where sealed texts are stored (`store`), which caller may do
//! what (`api`), and where the secrets come from (`config`).

pub mod api_token;
mod keyring;
pub mod places;
mod sealed;

pub use keyring::{InvalidKeyRing, KeyRing, generate_key_line};
pub use sealed::{Context, Sealed, Unreadable};
