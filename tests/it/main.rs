//! The daemon's promises, told as stories: the whole daemon over HTTP, against simulated providers.
//!
//! `TEST_DATABASE` is `sqlite` or `postgres`; `tests/run` runs both.

mod actors;
mod api_tokens;
mod audit;
mod authorization;
mod backfill;
mod backlog_plans;
mod coach_edits_survive;
mod conditional;
mod crash;
mod create_move_cancel;
mod disconnect;
mod doctor;
mod faults;
mod headers;
mod idempotency;
mod intake;
mod isolation;
mod key_rotation;
mod leaks;
mod live_status;
mod logs;
mod migrations;
mod model;
mod outage;
mod planted;
mod privacy;
mod quoted;
mod rate_limits;
mod refresh_and_reauth;
mod request_limits;
mod restart_in_mid_work;
mod retries;
mod service_manager;
mod sign_in;
mod support;
mod switches;
mod templates;
mod tokens_at_rest;
mod traces;
mod two_nodes;
mod watchdog;
mod watching;
mod webhooks;
mod zones;
