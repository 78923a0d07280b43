//! Outlook through Microsoft Graph version 1.0.
//!
//! `change` decides, `client` calls, `batch` packs several calls into one, `convert` and `wire`
//! turn our content into Graph's JSON, `body` keeps a meeting's join block, `failure` reads
//! refusals, `routes` knows addresses.

mod batch;
mod body;
mod change;
mod client;
mod convert;
mod failure;
mod routes;
mod wire;

pub use client::MicrosoftGraph;
pub(super) use convert::subject;
pub use routes::GraphEndpoints;
