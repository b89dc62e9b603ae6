//! Look-up: a table of hundreds of megabytes of small objects, loaded once and then read at random.
//!
//! Nearly every read misses the caches and the processor's address cache; what is timed apart as `read` shows whether
//! the allocator has huge pages behind the objects. Between loading and reading there is a pause as long as the table
//! is large, in which servers wait for requests and allocators tidy up.

use crate::random::Random;
use crate::{Tally, Workload};
use std::time::Duration;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "look_up",
    about: "3 million objects of 64-256 bytes loaded, 24 million read at random",
    full: 3000,
    tiny: 3,
    run,
};

/// Pause for each thousand objects.
const PAUSE: Duration = Duration::from_millis(4);
/// Reads of each object, on average.
const READS: usize = 8;

fn run(thousands: u64, tally: &mut Tally) {
    let count = thousands as usize * 1000;
    let mut random = Random::new(17);
    let mut table: Vec<Box<[u64]>> = Vec::with_capacity(count);
    tally.part("load", |tally| {
        for index in 0..count as u64 {
            let mut object = vec![index; random.within(8, 32)].into_boxed_slice();
            object[1] = random.next();
            table.push(object);
        }
        tally.add(count as u64, 0);
    });
    std::thread::sleep(PAUSE * thousands as u32);
    tally.part("read", |tally| {
        // What is read decides on what is read next: reads cannot overlap.
        let (mut sum, mut at) = (0u64, 0usize);
        for step in 0..(READS * count) as u64 {
            let object = &table[at];
            assert!(object[0] == at as u64, "object {at} has changed");
            sum = sum.wrapping_add(object[object.len() - 1]);
            let next = (object[1] ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            at = ((u128::from(next) * count as u128) >> 64) as usize;
        }
        tally.add((READS * count) as u64, sum);
    });
}
