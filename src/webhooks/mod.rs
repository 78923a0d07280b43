//! Telling the platform what happens, after the Standard Webhooks specification.
//!
//! Owns the signature, the schedule of attempts, where a webhook may lead, the call itself, and the
//! actor that sees to it that whatever is due is sent. What is to be told is written by `store`, in the
//! transaction in which it happens; registering is [`Registrations`]', its HTTP form `api`'s.
//!
//! A delivery is sent at least once, under one id, and after whatever happened earlier to the same
//! appointment or connection. It may arrive twice: after a crash, or when an answer was lost.
//!
//! ```text
//! store: what happened + a delivery per webhook, one transaction
//!            │ hint after the commit; due times; a slow poll as the net
//!            ▼
//! deliverer ── claim ──► sender (guarded resolver, signature) ──► the platform
//!            ◄─ settle ── schedule: delivered, again, given up, webhook disabled
//! ```

mod address;
mod attempt;
mod deliverer;
mod registrations;
mod rotation;
mod schedule;
mod secret;
mod sender;
mod signature;

pub use address::{Forbidden, Guard, Lookup, SystemLookup};
pub use deliverer::{DelivererHandle, DelivererSnapshot};
pub use registrations::{Refused, Registered, Registration, Registrations, Rotated};
pub use rotation::{SecretRotation, rotate_secrets};
pub use sender::Sender;
