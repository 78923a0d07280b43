//! Signing in at a provider: authorization code with PKCE, refresh, revocation.
//!
//! Owns the requests to the authorize, token and revoke endpoints, what their answers mean, which
//! scopes are enough, and where the browser may be sent back to. [`OAuthClient`] speaks to one
//! provider; nothing here keeps state. Leaves to others: storing and sealing tokens, deciding when
//! to refresh and that only one does so at a time (`connections`), and asking the provider who
//! signed in (`provider`).

mod authorize;
mod callback_error;
mod client;
mod endpoints;
mod exchange;
mod grant;
mod refusal;
mod return_to;
mod scopes;
#[cfg(test)]
mod tests;
mod transport;

pub use authorize::Authorization;
pub use callback_error::CallbackError;
pub use client::OAuthClient;
pub use endpoints::OAuthEndpoints;
pub use exchange::ExchangeFailure;
pub use grant::Grant;
pub use return_to::{AllowedOrigins, ReturnAddress, ReturnAddressRefused};
