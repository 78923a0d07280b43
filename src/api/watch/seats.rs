//! How many streams may be open at once, on this node.
//!
//! Each holds a connection for as long as a page is open. So there is a most for all, which leaves room
//! for those who ask and go, and a most for each caller, so that a page that forgets to close its
//! streams shuts out itself alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::api::problem::{Code, Problem};
use crate::security::api_token::{Caller, Role};

/// Tabs and devices of one coach; browsers open six connections to a host at most.
const OF_COACH: usize = 10;
/// A backend that watches for others, or operators.
const OF_SERVICE: usize = 100;
/// Each reads the database now and then.
const MOST: usize = 1_000;

/// The streams that are open on this node, and whether they are to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusStreams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    taken: Mutex<Taken>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_caller: HashMap<Caller, usize>,
}

/// The place of one open stream; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    streams: StatusStreams,
    caller: Caller,
}

impl StatusStreams {
    /// Room for so many, a thousand at most, until `stop`: then all end at once.
    pub fn new(most: usize, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            most: most.min(MOST),
            taken: Mutex::default(),
            stop,
        }))
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.lock().all
    }

    pub(super) fn take(&self, caller: &Caller) -> Result<Seat, Problem> {
        let most_of_caller = match caller.role() {
            Role::Coach => OF_COACH,
            Role::Service | Role::Admin => OF_SERVICE,
        };
        let mut taken = self.lock();
        let of_caller = taken.by_caller.get(caller).copied().unwrap_or_default();
        if of_caller >= most_of_caller {
            return Err(Problem::new(Code::TooManyStreams));
        }
        if taken.all >= self.0.most {
            return Err(Problem::new(Code::StreamsFull));
        }
        taken.all += 1;
        taken.by_caller.insert(caller.clone(), of_caller + 1);
        Ok(Seat {
            streams: self.clone(),
            caller: caller.clone(),
        })
    }

    /// Resolves when all streams are to end.
    pub(super) async fn stopping(&self) {
        self.0.stop.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.streams.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_caller) = taken.by_caller.get_mut(&self.caller) {
            *of_caller -= 1;
            if *of_caller == 0 {
                taken.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coach(n: u128) -> Caller {
        let id = uuid::Uuid::from_u128(n).to_string();
        Caller::new(Role::Coach, &id).expect("a caller")
    }

    fn refused(taken: Result<Seat, Problem>) -> Code {
        taken.expect_err("refused").code
    }

    #[test]
    fn each_caller_has_its_share_and_all_together_no_more_than_there_is() {
        let streams = StatusStreams::new(OF_COACH + 2, CancellationToken::new());
        let mut first: Vec<Seat> = (0..OF_COACH)
            .map(|_| streams.take(&coach(1)).expect("room"))
            .collect();
        assert_eq!(refused(streams.take(&coach(1))), Code::TooManyStreams);
        let others = [2, 3].map(|n| streams.take(&coach(n)).expect("room"));
        assert_eq!(refused(streams.take(&coach(4))), Code::StreamsFull);
        assert_eq!(streams.open(), OF_COACH + 2);
        first.pop();
        let again = streams.take(&coach(1)).expect("room again");
        drop((first, others, again));
        assert_eq!(streams.open(), 0);
        assert!(streams.lock().by_caller.is_empty());
    }
}
