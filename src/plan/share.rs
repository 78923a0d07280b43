//! How a quota that a provider grants to all nodes together is divided among them.

/// The part of the quota that a node may use from now on, given the parts that the other live nodes
/// said they use.
///
/// An equal part, but never more than the others leave: a node that joins waits until those before it
/// have said that they use less, so that all parts together are never more than the whole.
pub fn share(others: &[f64]) -> f64 {
    let left = (1.0 - others.iter().sum::<f64>()).max(0.0);
    equal_part(others.len()).min(left)
}

/// What is each node's when all have agreed.
pub fn equal_part(others: usize) -> f64 {
    let others = u32::try_from(others).unwrap_or(u32::MAX);
    1.0 / (f64::from(others) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nodes join, leave and look in any order.
        #[test]
        fn all_parts_together_are_never_more_than_the_whole(
            steps in prop::collection::vec((0..6_usize, any::<bool>()), 1..200),
        ) {
            let mut nodes: [Option<f64>; 6] = [None; 6];
            for (node, leaves) in steps {
                let others: Vec<f64> = (0..6)
                    .filter(|other| *other != node)
                    .filter_map(|other| nodes[other])
                    .collect();
                nodes[node] = (!leaves).then(|| share(&others));
                let total: f64 = nodes.iter().flatten().sum();
                prop_assert!(total <= 1.0 + 1e-9, "{nodes:?}");
            }
        }

        #[test]
        fn after_two_turns_every_node_has_an_equal_part(count in 1..10_usize) {
            let mut nodes = vec![0.0; count];
            // The one that was alone before looks last.
            nodes[count - 1] = 1.0;
            for _ in 0..2 {
                for node in 0..count {
                    let others: Vec<f64> = (0..count)
                        .filter(|other| *other != node)
                        .map(|other| nodes[other])
                        .collect();
                    nodes[node] = share(&others);
                }
            }
            for part in nodes {
                prop_assert!((part - equal_part(count - 1)).abs() < 1e-9, "{part}");
            }
        }
    }
}
