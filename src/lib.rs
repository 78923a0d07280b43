//! Keeps coaches' Google and Outlook calendars in step with their appointments.

mod actor_slot;
pub mod api;
pub mod cli;
pub mod config;
pub mod connections;
pub mod daemon;
pub mod doctor;
pub mod domain;
pub mod health;
mod housekeeper;
pub mod oauth;
pub mod plan;
pub mod provider;
pub mod queue;
mod root;
pub mod security;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod token_rotation;
