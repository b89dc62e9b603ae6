//! Growth: buffers that grow by `realloc`, several at a time, as strings and vectors do.
//!
//! Up to 4 KiB they grow by 64 bytes a step (a text read line by line), then by half of their size up
//! to 4 MiB (a vector that doubles, more or less). The last size is written whole.

use crate::block::{Block, SMALLEST};
use crate::{Tally, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "realloc-growth",
    about: "16 buffers that grow from 16 bytes to 4 MiB by realloc",
    full: 6,
    tiny: 1,
    run,
};

const BUFFERS: usize = 16;
const STEP: usize = 64;
const STEPS_END: usize = 4 << 10;
const LARGEST: usize = 4 << 20;

fn run(rounds: u64, tally: &mut Tally) {
    for round in 0..rounds {
        let stamp = |index: usize| round * BUFFERS as u64 + index as u64 + 1;
        let mut buffers: Vec<Block> = (0..BUFFERS)
            .map(|index| Block::new(SMALLEST, stamp(index)))
            .collect();
        let mut len = SMALLEST;
        let mut operations = BUFFERS as u64;
        while len < LARGEST {
            len = (if len < STEPS_END {
                len + STEP
            } else {
                len + len / 2
            })
            .min(LARGEST);
            buffers.iter_mut().for_each(|buffer| buffer.resize(len));
            operations += BUFFERS as u64;
        }
        buffers.iter_mut().for_each(Block::fill);
        tally.add(operations, buffers.into_iter().map(Block::free).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::{BUFFERS, WORKLOAD};

    #[test]
    fn every_buffer_keeps_its_stamp() {
        let all = 2 * BUFFERS as u64;
        assert_eq!(WORKLOAD.run(2).checksum, all * (all + 1) / 2);
    }
}
