//! Google Calendar, API version 3.
//!
//! `change` decides, `client` calls, `batch` packs several calls into one, `convert` and `wire`
//! turn our content into Google's JSON, `failure` reads refusals, `routes` knows addresses.

mod batch;
mod change;
mod client;
mod convert;
mod failure;
mod routes;
mod wire;

pub use client::GoogleCalendar;
pub use routes::GoogleEndpoints;
