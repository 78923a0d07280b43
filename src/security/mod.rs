//! What keeps secrets secret and strangers out.
//!
//! Owns the key ring and the sealed form in which provider tokens lie in the database
//! ([`KeyRing`], [`Sealed`]). Leaves to others: where sealed texts are stored (`store`), and where
//! the secrets come from (`config`).

mod keyring;
mod sealed;

pub use keyring::{InvalidKeyRing, KeyRing, generate_key_line};
pub use sealed::{Context, Sealed, Unreadable};
