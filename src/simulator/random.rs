//! Draws for ids, shuffles and chances.

use crate::domain::{Entropy, SeededEntropy};

/// A repeatable source of the simulator's own whims.
#[derive(Debug)]
pub(super) struct Dice(SeededEntropy);

impl Dice {
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(SeededEntropy::from_seed(seed))
    }

    /// A number in `0..n`, or 0 if `n` is 0. The bias of the remainder does not matter here.
    pub(super) fn below(&self, n: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let draw = u64::from_le_bytes(bytes) % u64::try_from(n.max(1)).unwrap_or(u64::MAX);
        usize::try_from(draw).unwrap_or(0)
    }

    pub(super) fn coin(&self) -> bool {
        self.below(2) == 1
    }

    /// True in about `probability` of the draws.
    pub(super) fn chance(&self, probability: f64) -> bool {
        f64::from(self.0.jitter().0) < probability * (f64::from(u32::MAX) + 1.0)
    }

    /// The numbers `0..n` in random order.
    pub(super) fn order(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// Random text that is safe in URLs: what tokens and opaque ids are made of.
pub(super) fn token(entropy: &dyn Entropy, prefix: &str, bytes: usize) -> String {
    let mut random = vec![0; bytes];
    entropy.fill(&mut random);
    format!("{prefix}{}", data_encoding::BASE64URL_NOPAD.encode(&random))
}

/// A random UUID, as both providers put into request ids and account ids.
pub(super) fn uuid(entropy: &dyn Entropy) -> uuid::Uuid {
    let mut random = [0; 16];
    entropy.fill(&mut random);
    uuid::Builder::from_random_bytes(random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_every_number_once() {
        let mut order = Dice::from_seed(7).order(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn chances_of_none_and_all_are_certain() {
        let dice = Dice::from_seed(7);
        assert!((0..100).all(|_| !dice.chance(0.0) && dice.chance(1.0)));
    }
}
