//! Processors.

use super::call::{ok, syscall};

/// Number of processors this process may run on; at least 1.
pub(crate) fn usable() -> usize {
    // 8192 processors: what the largest kernels are built for.
    let mut mask = [0u64; 128];
    // SAFETY: the kernel fills at most the bytes named.
    let written = unsafe {
        syscall(
            libc::SYS_sched_getaffinity,
            [
                0,
                size_of_val(&mask),
                mask.as_mut_ptr().expose_provenance(),
                0,
                0,
                0,
            ],
        )
    };
    match ok(written) {
        Some(_) => mask
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum::<usize>()
            .max(1),
        None => 1,
    }
}
