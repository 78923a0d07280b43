//! Sliding windows: how many units were used in the last minute or ten.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::Window;

/// The latest uses, oldest first, as instants of the monotonic clock. Never longer than the window
/// has units.
#[derive(Debug, Default)]
pub(super) struct SlidingWindow {
    uses: VecDeque<Duration>,
}

impl SlidingWindow {
    /// How long until `units` more fit; zero if they fit now.
    pub(super) fn wait(&mut self, window: Window, now: Duration, units: usize) -> Duration {
        while self
            .uses
            .front()
            .is_some_and(|used| *used + window.length <= now)
        {
            self.uses.pop_front();
        }
        let over = (self.uses.len() + units).saturating_sub(window.units);
        match over.checked_sub(1).and_then(|last| self.uses.get(last)) {
            Some(blocking) => (*blocking + window.length).saturating_sub(now),
            // More units than the window ever has: a whole window is as good an answer as any.
            None if over > 0 => window.length,
            None => Duration::ZERO,
        }
    }

    pub(super) fn take(&mut self, window: Window, now: Duration, units: usize) {
        for _ in 0..units {
            self.uses.push_back(now);
        }
        while self.uses.len() > window.units {
            self.uses.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_comes_back_when_its_use_leaves_the_window() {
        let window = Window::new(2, Duration::from_secs(60));
        let mut used = SlidingWindow::default();
        used.take(window, Duration::from_secs(0), 1);
        used.take(window, Duration::from_secs(10), 1);
        assert_eq!(
            used.wait(window, Duration::from_secs(20), 1),
            Duration::from_secs(40)
        );
        assert_eq!(
            used.wait(window, Duration::from_secs(20), 2),
            Duration::from_secs(50)
        );
        assert_eq!(
            used.wait(window, Duration::from_secs(60), 1),
            Duration::ZERO
        );
    }
}
