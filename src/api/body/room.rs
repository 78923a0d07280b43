//! How many bytes of bodies are held at once, all requests of this process together.
//!
//! Bodies that only the platform may send have room of their own: coaches, of whom there are many, cannot
//! fill it up. A body takes room as its bytes arrive, so that who sends slowly keeps little of it, and for
//! as long as its request is worked on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::MOST_OF_A_COACH;
use crate::api::problem::{Code, Problem};

const BYTES_OF_THE_PLATFORM: usize = 64 * 1024 * 1024;
const BYTES_OF_OTHERS: usize = 32 * 1024 * 1024;

/// The room there is.
#[derive(Clone, Debug)]
pub struct BodyRoom {
    platform: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for BodyRoom {
    fn default() -> Self {
        Self {
            platform: Arc::new(Semaphore::new(BYTES_OF_THE_PLATFORM)),
            others: Arc::new(Semaphore::new(BYTES_OF_OTHERS)),
        }
    }
}

/// What one body takes of it, until this and all its clones are dropped.
#[derive(Clone, Debug)]
pub(in crate::api) struct Held {
    _room: Arc<OwnedSemaphorePermit>,
}

impl From<OwnedSemaphorePermit> for Held {
    fn from(room: OwnedSemaphorePermit) -> Self {
        Self {
            _room: Arc::new(room),
        }
    }
}

impl BodyRoom {
    /// Room for `bytes` more of a body that may have `most`.
    pub(super) fn take(&self, bytes: usize, most: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let room = if most > MOST_OF_A_COACH {
            &self.platform
        } else {
            &self.others
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        room.clone().try_acquire_many_owned(bytes).map_err(|_| {
            Problem::new(Code::TooManyRequests).because(
                "Too many bodies are being read and worked on here; come back in a moment.",
            )
        })
    }

    /// All of it, as if many bodies were held.
    #[cfg(test)]
    pub(in crate::api) fn fill_up(&self) -> [OwnedSemaphorePermit; 2] {
        [
            self.take(BYTES_OF_THE_PLATFORM, usize::MAX)
                .expect("it is empty"),
            self.take(BYTES_OF_OTHERS, 0).expect("it is empty"),
        ]
    }
}
