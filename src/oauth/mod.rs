//! Signing in at a provider: authorization code with PKCE, refresh, revocation.
//!
//! Owns the requests to the authorize, token and revoke endpoints, what their answers mean, which
//! scopes are enough, and where the browser may be sent back to. [`OAuthClient`] speaks to one
//! provider and keeps no state; [`ConnectFlow`] carries a coach through a sign-in, from the first
//! visit to the stored connection. Leaves to others: deciding when to refresh and that only one does
//! so at a time (`connections`), and how a request and an answer look (`api`).

mod authorize;
mod callback_error;
mod client;
mod endpoints;
mod exchange;
mod grant;
mod issuer;
mod refusal;
mod return_to;
mod scopes;
mod sign_in;
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
pub use sign_in::{
    Browser, Callback, ConnectFlow, Connected, Ended, Finished, SignInProvider, StartRefused,
    Started, UnderWay,
};
