//! What is remembered of those who were here lately, and of no more than so many.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

/// Some 200 bytes each.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

pub(super) struct Recent<K, V> {
    entries: LruCache<K, Seen<V>>,
    forgotten_after: Duration,
}

struct Seen<V> {
    /// On the monotonic clock.
    at: Duration,
    value: V,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(super) fn forgetting_after(forgotten_after: Duration) -> Self {
        Self {
            entries: LruCache::new(MOST),
            forgotten_after,
        }
    }

    /// What is known of `key`, or a fresh start. When there are too many, whoever was longest away is
    /// forgotten.
    pub(super) fn of(&mut self, key: K, now: Duration, fresh: impl FnOnce() -> V) -> &mut V {
        while let Some((_, seen)) = self.entries.peek_lru()
            && now >= seen.at + self.forgotten_after
        {
            self.entries.pop_lru();
        }
        let seen = self.entries.get_or_insert_mut(key, || Seen {
            at: now,
            value: fresh(),
        });
        seen.at = now;
        &mut seen.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_idle_are_forgotten_and_the_busy_are_not() {
        let mut recent = Recent::forgetting_after(MINUTE);
        *recent.of("idle", Duration::ZERO, || 0) = 1;
        *recent.of("busy", Duration::ZERO, || 0) = 1;
        recent.of("busy", MINUTE / 2, || 0);
        assert_eq!(*recent.of("busy", MINUTE, || 0), 1);
        assert_eq!(recent.entries.len(), 1);
        assert_eq!(*recent.of("idle", MINUTE, || 0), 0);
    }

    #[test]
    fn a_crowd_of_strangers_takes_bounded_room_and_nothing_from_the_busy() {
        let mut recent = Recent::forgetting_after(MINUTE);
        *recent.of(0, Duration::ZERO, || 0) = 7;
        for stranger in 1..3 * MOST.get() {
            recent.of(stranger, Duration::ZERO, || 0);
            assert_eq!(*recent.of(0, Duration::ZERO, || 0), 7);
        }
        assert_eq!(recent.entries.len(), MOST.get());
    }
}
