//! What is durable: the only place that names sea-orm.
//!
//! Owns the tables behind functions in domain types, one file per aggregate, the same code on SQLite
//! and PostgreSQL. Leaves decisions to `plan` and the order of work to `queue` and `connections`.
//!
//! How concurrent transactions stay out of each other's way, in this order always:
//! 1. the coach (`pg_advisory_xact_lock`): reports, sign-ins and settings of one coach are serial, so
//!    that no appointment slips between a report and a new connection's first sync;
//! 2. the account at its provider (`pg_advisory_xact_lock`): of two coaches who end their connections to
//!    it, one knows that it was the last, and gives the grant back;
//! 3. appointment rows: first those that a report inserts, by id, then those that are there, by id and
//!    only FOR NO KEY UPDATE: a claim that inserts a mapping asks for their key. Also by a settle that
//!    may forget some of them at its end;
//! 4. the connection's lease row: enqueueing, claiming and settling one connection are serial, so
//!    that `due_at` is never computed beside a row it does not see;
//! 5. queue rows, then mappings;
//! 6. webhooks, then their deliveries: what happened is written down last.
//!
//! On SQLite every writing transaction begins IMMEDIATE on the one writing connection, which orders
//! them all; the locks above are then free.

mod appointments;
mod audit;
mod backup;
mod checkpoint;
mod claim;
mod connect;
mod connections;
mod ended;
mod enqueue;
pub(crate) mod entity;
mod erased;
mod error;
mod grants;
mod handover;
mod housekeeping;
mod idempotency;
mod intake;
mod jobs;
mod lateness;
mod leases;
mod leave;
#[cfg(test)]
mod long_queues;
mod nodes;
mod notify;
mod open;
mod patience;
mod preview;
#[cfg(test)]
mod query_plans;
mod settings;
mod settle;
mod sign_ins;
mod sql;
mod status;
mod time;
mod tokens;
mod waits;
mod webhooks;

pub use appointments::{AppointmentPage, EventStatus, PageRequest};
pub use audit::{AuditEvent, AuditFilter, AuditPage};
pub use backup::BackupError;
pub use claim::{Claim, ClaimRequest, Claimed, NoClaim};
pub use connect::{NewConnection, NotConnected};
pub use connections::ConnectionView;
pub use ended::Ended;
pub use enqueue::{QueuedSync, SyncRefusal};
pub use error::StoreError;
pub use grants::GrantHistory;
pub use idempotency::{
    ANSWER_KEPT, About, KEY_HELD, KeptAnswer, KeyedRequest, KnownKey, SealedAnswer,
};
pub use intake::Intake;
pub use jobs::{Job, JobFilter, JobPage};
pub use lateness::Lateness;
pub use leases::{Due, DueConnection, Fence, Lease};
pub use nodes::{Census, Peer};
pub use notify::Listener;
pub use open::{SchemaStatus, Store};
pub use settings::{SettingsChange, SettingsRefusal, SettingsRequest};
pub use settle::{JobEnd, Settled, Settlement};
pub use sign_ins::SignIn;
pub use status::{QueueDepth, SyncProgress, SyncStatus};
pub use tokens::{SealedTokens, StoredTokens};
pub use webhooks::{
    ClaimedDeliveries, Delivery, DeliveryEnd, DeliveryFilter, DeliveryPage, DueDelivery,
    EndedDelivery, MOST_WEBHOOKS, NewWebhook, ReplayRefusal, SealedSecrets, SettledDelivery,
    Standing, Webhook, WebhookChanges, WebhookReadings, WebhookRefusal, WebhookTarget, WebhookView,
};
