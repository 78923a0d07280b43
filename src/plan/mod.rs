//! Pure decisions: plain values in, plain values out.
//!
//! Owns what an event should show ([`compose`]), what to do next about one appointment in one
//! calendar ([`plan`]), what a failure leads to ([`judge`]), what an outage costs ([`Breaker`]), what
//! a report changes ([`receive`]), what settings would do ([`preview()`]), when a crashed worker comes back ([`restart()`]) and how nodes
//! divide a quota ([`share()`]). No I/O, no clock, no randomness: each is handed in, so the same state
//! always leads to the same answer, in steady state and after a crash alike.

mod breaker;
mod content;
mod event;
mod explain;
mod intake;
mod preview;
mod record;
mod restart;
mod retry;
mod share;
mod template;

pub use breaker::{Breaker, Heard, Outage};
pub use content::compose;
pub use event::{Plan, Situation, WhyNot, plan, wanted_in};
pub use explain::{Explanation, OpenWork, Standing, SyncState, explain};
pub use intake::{Outcome, receive};
pub use preview::{Preview, example, is_changed, preview, why_not_written};
pub use record::{gone, intent, live};
pub use restart::{Restart, RestartPolicy, restart};
pub use retry::{Backoff, Tries, Verdict, is_unseen_for_long, judge};
pub use share::{equal_part, share};
pub use template::{InvalidTemplate, PLACEHOLDERS, check_template};

#[cfg(test)]
mod tests;
