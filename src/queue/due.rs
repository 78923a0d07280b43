//! The near future: which connection is due when.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{ConnectionId, Timestamp};

/// Due times kept in memory; what is later, or too many, is found by the poll of the database.
const MOST: usize = 100_000;

/// One due time per connection, the earliest it was given.
#[derive(Debug, Default)]
pub(super) struct DueTimes {
    by_time: BTreeSet<(Timestamp, ConnectionId)>,
    by_connection: HashMap<ConnectionId, Timestamp>,
}

impl DueTimes {
    pub(super) fn insert(&mut self, id: ConnectionId, at: Timestamp) {
        match self.by_connection.get(&id) {
            Some(known) if *known <= at => return,
            Some(known) => {
                self.by_time.remove(&(*known, id));
            }
            None if self.by_time.len() >= MOST => return,
            None => {}
        }
        self.by_connection.insert(id, at);
        self.by_time.insert((at, id));
    }

    /// Takes out everything due at `now`, earliest first.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.by_time.first().copied() {
            if at > now {
                break;
            }
            self.by_time.pop_first();
            self.by_connection.remove(&id);
            due.push(id);
        }
        due
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    #[test]
    fn a_connection_is_due_once_at_the_earliest_time_it_was_given() {
        let start = DateTime::UNIX_EPOCH;
        let (a, b) = (
            ConnectionId(Uuid::from_u128(1)),
            ConnectionId(Uuid::from_u128(2)),
        );
        let mut due = DueTimes::default();
        due.insert(a, start + TimeDelta::seconds(9));
        due.insert(b, start + TimeDelta::seconds(5));
        due.insert(a, start + TimeDelta::seconds(3));
        due.insert(a, start + TimeDelta::seconds(7));
        assert_eq!(due.next(), Some(start + TimeDelta::seconds(3)));
        assert_eq!(due.take_due(start + TimeDelta::seconds(4)), vec![a]);
        assert_eq!(due.take_due(start + TimeDelta::seconds(60)), vec![b]);
        assert_eq!(due.len(), 0);
    }
}
