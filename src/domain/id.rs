//! Identifiers as types of their own: mixing two of them does not compile.
//!
//! Parsed once at the edge. Ids of ours are UUIDs; ids a provider makes are opaque, case-sensitive
//! strings that are never taken apart.

use std::fmt;

use poem_openapi::NewType;
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Entropy, Timestamp};

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            DeriveValueType, NewType,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl sea_orm::TryFromU64 for $name {
            /// Never called: every id is chosen by us or by the platform, none by the database.
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl $name {
            /// A fresh id whose order is the order of creation (UUID version 7).
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let mut random = [0_u8; 10];
                entropy.fill(&mut random);
                let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }
        }
    )+};
}

uuid_id! {
    /// An appointment, named by the booking platform.
    AppointmentId
    /// One line of the audit trail.
    AuditEventId
    /// A coach, named by the booking platform.
    CoachId
    /// One calendar account a coach connected.
    ConnectionId
    /// One row of the sync queue.
    JobId
    /// One full sync: the id of its `full_sync` job.
    SyncId
    /// One run of the daemon: a new id at every start.
    NodeId
    /// An address of the platform that is told what happens.
    WebhookId
    /// One event on its way to one webhook: the `webhook-id` of each of its attempts.
    DeliveryId
}

macro_rules! opaque_id {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, DeriveValueType)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    )+};
}

opaque_id! {
    /// A calendar at its provider.
    CalendarId
    /// An event at its provider; for Google chosen by us, for Graph made there.
    EventId
    /// The version of an event at its provider, quotes and weakness mark included.
    Etag
}
