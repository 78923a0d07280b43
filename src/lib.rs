//! Keeps coaches' Google and Outlook calendars in step with their appointments.

pub mod domain;
pub mod provider;
pub mod simulator;
