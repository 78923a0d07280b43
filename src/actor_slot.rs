//! A place for an actor that may be restarted: handles keep the slot, not the actor.

use std::sync::{Arc, PoisonError, RwLock};

use ractor::{ActorRef, ActorStatus, Message};

pub(crate) struct ActorSlot<M>(Arc<RwLock<Option<ActorRef<M>>>>);

impl<M> Clone for ActorSlot<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Default for ActorSlot<M> {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(None)))
    }
}

impl<M> std::fmt::Debug for ActorSlot<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ActorSlot")
    }
}

impl<M: Message> ActorSlot<M> {
    pub(crate) fn fill(&self, actor: ActorRef<M>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    pub(crate) fn get(&self) -> Option<ActorRef<M>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends a hint; one that nobody receives is made up for by the next poll.
    pub(crate) fn send(&self, message: M) {
        if let Some(actor) = self.get() {
            let _ = actor.cast(message);
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.get().is_some_and(|actor| {
            matches!(
                actor.get_status(),
                ActorStatus::Running | ActorStatus::Starting
            )
        })
    }
}
