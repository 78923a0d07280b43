//! The daemon's promises, told as stories: the whole daemon over HTTP, against simulated providers.
//!
//! `TEST_DATABASE` is `sqlite` or `postgres`; `tests/run` runs both.

mod create_move_cancel;
mod support;
