//! Keeps coaches' Google and Outlook calendars in step with their appointments.

pub mod api;
pub mod config;
pub mod domain;
pub mod oauth;
pub mod plan;
pub mod provider;
pub mod security;
pub mod store;
