//! Keeps coaches' Google and Outlook calendars in step with their appointments.
//!
//! The platform says what an appointment *is*; the queue remembers that (connection, appointment) may
//! differ from the calendar; working on it means looking at what is, deciding purely, changing at
//! most one event, and recording it. So updates coalesce, order does not matter, and starting again
//! after a crash is the same code as going on.
//!
//! ```text
//! PUT appointment ─► api ─► store: appointment + a pending row per connection, one transaction ─► 200
//!                              after the commit │ wake: a hint, never the work itself
//!                                               ▼
//!                    queue (poller: due times, hints, a slow poll as the net)
//!                                               │
//!                                               ▼
//!                    connections (registry ─► supervisor ─► worker, one at a time per connection)
//!                      │ claim   lease and due rows                         store
//!                      │ plan    desired × mapping × settings → one change  plan, on domain alone
//!                      │ limit   what the provider allows                   connections::limiter
//!                      │ call    with a fresh token                         provider, oauth
//!                      ▼ settle  mapping, row, next due time: one transaction, fenced by the lease
//! ```
//!
//! Dependencies point one way: `domain` ← `plan`; `store` and `provider` know only those two and
//! never each other; `oauth`, `queue`, `connections` and `nodes` combine them; `api`, `health` and `daemon`
//! sit on top, and `cli` starts it all. `api` reaches the actors through `api::ports` alone.
//!
//! - [`api`]: the HTTP control plane and its OpenAPI document
//! - `changes`: who waits to hear that something changed
//! - [`cli`]: the commands of the binary
//! - [`config`]: settings from flags, environment and files, checked all at once
//! - [`connections`]: the actors that act for each connection: leases, tokens, limits, rounds
//! - [`daemon`]: the composition root: start, readiness, drain
//! - [`dashboard`]: the web page, a client of the public API
//! - [`demo`]: a daemon against simulated calendars, and the replay that compares them
//! - [`doctor`]: what to change, before it fails
//! - [`domain`]: the nouns, the failure taxonomy, clock and randomness
//! - [`failpoint`]: where tests end the process or make a step fail
//! - [`health`]: what operators measure
//! - [`nodes`]: this daemon among the others on one PostgreSQL
//! - [`oauth`]: signing in to calendars and keeping the access
//! - [`plan`]: the pure decisions
//! - [`provider`]: Google and Outlook behind one trait
//! - [`queue`]: which connections are due
//! - `rate_clock`: our clock as rate limiters read it
//! - [`security`]: the key ring, sealed tokens, API tokens
//! - `server`: the sockets under the API, and how long clients may hold them
//! - `shared_time`: one time for all nodes
//! - [`simulator`]: Google and Microsoft as strict servers in memory, with faults and a ledger
//! - [`store`]: everything durable, and the only place that names sea-orm
//! - [`telemetry`]: how the logs are written
//! - [`traces`]: the way of a change, for collectors
//! - `watchdog`: who has work and does not get on with it
//! - [`token_rotation`]: stored tokens under a new key, while serving
//! - `answer_rotation`: kept answers of `Idempotency-Key`s under a new key, likewise
//! - [`webhooks`]: telling the platform what happens

mod actor_slot;
mod answer_rotation;
pub mod api;
mod changes;
pub mod cli;
pub mod config;
pub mod connections;
pub mod daemon;
pub mod dashboard;
pub mod demo;
pub mod doctor;
pub mod domain;
pub mod failpoint;
pub mod health;
mod hints;
mod housekeeper;
pub mod nodes;
pub mod oauth;
pub mod plan;
pub mod provider;
pub mod queue;
mod rate_clock;
mod root;
pub mod security;
mod server;
mod shared_time;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod token_rotation;
pub mod traces;
mod watchdog;
pub mod webhooks;
