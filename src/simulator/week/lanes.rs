//! Side by side instead of on top of each other: columns for events that overlap.

use super::Block;

/// Sorts the blocks and gives each a lane that no overlapping one has. Blocks that overlap, also
/// through others, share one number of lanes, so that their widths agree.
pub(super) fn assign(blocks: &mut [Block]) {
    blocks.sort_by(|a, b| (a.day, a.from, &a.key).cmp(&(b.day, b.from, &b.key)));
    blocks
        .chunk_by_mut(|a, b| a.day == b.day)
        .for_each(assign_day);
}

fn assign_day(mut day: &mut [Block]) {
    while !day.is_empty() {
        let (cluster, rest) = day.split_at_mut(cluster_length(day));
        let mut ends: Vec<u32> = Vec::new();
        for block in cluster.iter_mut() {
            let free = ends.iter().position(|end| *end <= block.from);
            let lane = free.unwrap_or(ends.len());
            match ends.get_mut(lane) {
                Some(end) => *end = block.to,
                None => ends.push(block.to),
            }
            block.lane = u32::try_from(lane).unwrap_or(0);
        }
        let lanes = u32::try_from(ends.len()).unwrap_or(1);
        cluster.iter_mut().for_each(|block| block.lanes = lanes);
        day = rest;
    }
}

/// How many of the first blocks hang together.
fn cluster_length(day: &[Block]) -> usize {
    let mut end = 0;
    day.iter()
        .enumerate()
        .find(|(place, block)| {
            let apart = *place > 0 && block.from >= end;
            end = end.max(block.to);
            apart
        })
        .map_or(day.len(), |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(from: u32, to: u32) -> Block {
        Block {
            key: format!("{from}-{to}"),
            day: 0,
            from,
            to,
            lane: 0,
            lanes: 1,
            hours: String::new(),
            title: String::new(),
            place: String::new(),
            guests: String::new(),
            foreign: false,
        }
    }

    #[test]
    fn overlapping_events_stand_beside_each_other() {
        let mut blocks = [
            block(60, 120),
            block(90, 150),
            block(120, 180),
            block(180, 240),
        ];
        assign(&mut blocks);
        let lanes: Vec<_> = blocks
            .iter()
            .map(|block| (block.lane, block.lanes))
            .collect();
        assert_eq!(lanes, [(0, 2), (1, 2), (0, 2), (0, 1)]);
    }
}
