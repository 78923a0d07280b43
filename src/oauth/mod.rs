//! Signing in at a provider.
//!
//! Owns where the browser may be sent back to, and with which words.

mod callback_error;
mod return_to;

pub use callback_error::CallbackError;
pub use return_to::{AllowedOrigins, ReturnAddress, ReturnAddressRefused};
