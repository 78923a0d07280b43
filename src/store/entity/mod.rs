//! One row type per table. They never leave `store`: each converts to or from domain types, and a
//! row that does not convert is an inconsistency, reported by table and column.

#![expect(unreachable_pub, reason = "the derives ask for public rows")]

pub(crate) mod appointment;
pub(crate) mod audit_event;
pub(crate) mod connection;
pub(crate) mod idempotency_key;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod mapping;
pub(crate) mod sign_in;
pub(crate) mod webhook;
pub(crate) mod webhook_delivery;
