//! Hints on their way to an actor: however many come, one message and one set of connections.
//!
//! Mailboxes have no bound of their own. A hint says only "look again", so a thousand for the same
//! connection are one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ConnectionId;

/// Shared by those who send hints and the actor that takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints(Arc<Mutex<HashSet<ConnectionId>>>);

impl Hints {
    /// Whether the caller is to send the message: none is on its way.
    #[must_use]
    pub(crate) fn add(&self, ids: impl IntoIterator<Item = ConnectionId>) -> bool {
        let mut waiting = self.lock();
        let was_empty = waiting.is_empty();
        waiting.extend(ids);
        was_empty && !waiting.is_empty()
    }

    /// The message was received: what comes from now on needs another.
    pub(crate) fn take(&self) -> HashSet<ConnectionId> {
        std::mem::take(&mut *self.lock())
    }

    /// Connections whose hint was not taken yet.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ConnectionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_flood_of_hints_is_one_message_with_each_connection_once() {
        let hints = Hints::default();
        let ids = [1, 2, 3].map(|id| ConnectionId(Uuid::from_u128(id)));
        let messages = (0..10_000)
            .filter(|turn| hints.add([ids[turn % 3]]))
            .count();
        assert_eq!(messages, 1);
        assert_eq!(hints.take(), HashSet::from(ids));
        assert!(!hints.add([]), "nothing to say");
        assert!(hints.add(ids), "the next flood needs a message again");
    }
}
