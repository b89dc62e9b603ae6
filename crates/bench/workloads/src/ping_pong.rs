//! Ping-pong: one object, allocated and freed at once.

use crate::block::Block;
use crate::{Tally, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "ping-pong-64",
    about: "malloc of 64 bytes, free at once",
    full: 40_000_000,
    tiny: 1000,
    run,
};

fn run(pairs: u64, tally: &mut Tally) {
    let mut sum = 0_u64;
    for index in 0..pairs {
        sum = sum.wrapping_add(Block::new(64, index).free());
    }
    tally.add(pairs, sum);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_that_of_the_indexes() {
        let told = super::WORKLOAD.run(1000);
        assert_eq!((told.operations, told.checksum), (1000, 999 * 1000 / 2));
    }
}
