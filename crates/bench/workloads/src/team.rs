//! Team: one piece of work on several threads at once.

use std::thread;

/// Threads of the workloads that have several: the same everywhere, so that the work is too (rule K1).
pub(crate) const THREADS: usize = 4;

/// Runs `work(index)` on `threads` threads and adds up what they return.
pub(crate) fn sum(threads: usize, work: impl Fn(u64) -> u64 + Sync) -> u64 {
    thread::scope(|scope| {
        let work = &work;
        let team: Vec<_> = (0..threads as u64)
            .map(|index| scope.spawn(move || work(index)))
            .collect();
        team.into_iter()
            .map(|thread| thread.join().expect("a thread failed"))
            .sum()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_index_has_a_thread() {
        assert_eq!(super::sum(7, |index| 1 << index), 127);
    }
}
