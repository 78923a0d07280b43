//! What is stored of a secret that a browser brings back: its hash.

use sha2::{Digest, Sha256};

/// Our states have 43 characters; whatever is longer than this was never one.
pub(super) const MAX_STATE_LENGTH: usize = 128;

/// SHA-256 in hex. The secrets are 256 random bits, so no salt and no slow hash is needed.
pub(super) fn hash(secret: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}
