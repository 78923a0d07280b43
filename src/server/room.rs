//! The places that connections take, and who leaves when all are taken.
//!
//! A connection between two requests gives its place to a newcomer, the longest idle one first; one
//! whose request is being answered keeps it. If all are being answered, newcomers wait in the
//! listener's own queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Room {
    places: usize,
    seats: Mutex<Seats>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    /// Requests being answered; HTTP/1.1 has one at a time.
    answering: bool,
    /// When that last changed, or a piece of an answer was taken.
    since: Instant,
    leave: CancellationToken,
}

/// One taken place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    room: Arc<Room>,
    leave: CancellationToken,
}

impl Room {
    pub(super) fn with_places(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            seats: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Takes a place, asking the longest idle connection to leave if there is none.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        loop {
            let changed = self.changed.notified();
            if let Some(place) = self.free_place() {
                return place;
            }
            self.make_room();
            changed.await;
        }
    }

    fn free_place(self: &Arc<Self>) -> Option<Place> {
        let mut seats = self.lock();
        if seats.taken.len() >= self.places {
            return None;
        }
        let id = seats.next;
        seats.next += 1;
        let leave = CancellationToken::new();
        let seat = Seat {
            answering: false,
            since: Instant::now(),
            leave: leave.clone(),
        };
        seats.taken.insert(id, seat);
        Some(Place {
            id,
            room: self.clone(),
            leave,
        })
    }

    /// Asks the connection that has been idle longest to leave.
    pub(super) fn make_room(&self) {
        let seats = self.lock();
        let idle = seats
            .taken
            .values()
            .filter(|seat| !seat.answering && !seat.leave.is_cancelled());
        if let Some(seat) = idle.min_by_key(|seat| seat.since) {
            seat.leave.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Resolves when the place is wanted for another.
    pub(super) async fn is_wanted(&self) {
        self.leave.cancelled().await;
    }

    /// A request begins, a piece of its answer is taken, or all of it is.
    pub(super) fn answering(&self, answering: bool) {
        if let Some(seat) = self.room.lock().taken.get_mut(&self.id) {
            seat.answering = answering;
            seat.since = Instant::now();
        }
        if !answering {
            // Idle now: whoever waits for a place may ask for this one.
            self.room.changed.notify_waiters();
        }
    }

    /// When a request last began, went on or ended.
    pub(super) fn since(&self) -> Instant {
        let seats = self.room.lock();
        let seat = seats.taken.get(&self.id);
        seat.map_or_else(Instant::now, |seat| seat.since)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.lock().taken.remove(&self.id);
        self.room.changed.notify_waiters();
    }
}
