//! Randomness as an input, so that a run can be repeated from its seed.

use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// Where randomness comes from. Fit for secrets in production: see [`SystemEntropy`].
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Overwrites `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);

    /// One draw for spreading delays.
    fn jitter(&self) -> Jitter {
        let mut bytes = [0_u8; 4];
        self.fill(&mut bytes);
        Jitter(u32::from_le_bytes(bytes))
    }
}

/// A draw in `0..=1`, handed to pure functions in place of a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter(pub u32);

impl Jitter {
    /// A duration between half of `full` and `full`: equal jitter, so that a delay still grows
    /// from attempt to attempt.
    pub fn spread(self, full: Duration) -> Duration {
        let half = full / 2;
        half + half.mul_f64(self.share())
    }

    /// A duration between seven eighths of `full` and `full`, where the length matters more than
    /// the spread.
    pub fn trim(self, full: Duration) -> Duration {
        full - (full / 8).mul_f64(self.share())
    }

    fn share(self) -> f64 {
        f64::from(self.0) / f64::from(u32::MAX)
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no state, key or nonce would be safe: ending the actor is right, and
        // on Linux this cannot fail once the machine has booted.
        SysRng
            .try_fill_bytes(bytes)
            .expect("the operating system has randomness");
    }
}

/// A repeatable generator for tests and replays. Never for secrets.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_keeps_a_delay_between_half_and_whole() {
        let full = Duration::from_secs(60);
        assert_eq!(Jitter(0).spread(full), full / 2);
        assert_eq!(Jitter(u32::MAX).spread(full), full);
    }
}
