//! The system of the unit tests: the real one behind a gate that can refuse, and a clock turned by hand.
//!
//! Both are the calling thread's own, so that tests running side by side do not meet. What else tests of every
//! floor need stands here too: a process of their own, and numbers to draw operations with.

pub(crate) mod bare;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod dice;
pub(crate) mod files;
pub(crate) mod memory;

/// What ci/sanitizers and ci/miri must notice; asked for by name.
mod sanitizer_control {
    use core::cell::UnsafeCell;
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::boxed::Box;
    use std::thread;

    struct Racy(UnsafeCell<u64>);
    // SAFETY: none: that is the point. It runs under a sanitizer, on request.
    unsafe impl Sync for Racy {}

    #[test]
    #[ignore = "wrong on purpose: a control of ci/sanitizers and ci/miri"]
    fn race() {
        static RACY: Racy = Racy(UnsafeCell::new(0));
        // Both at once, on a machine that has no time for them either. Relaxed: meeting orders nothing.
        static ARRIVED: AtomicU32 = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    ARRIVED.fetch_add(1, Ordering::Relaxed);
                    while ARRIVED.load(Ordering::Relaxed) < 2 {
                        thread::yield_now();
                    }
                    for _ in 0..10_000 {
                        // SAFETY: none, see above.
                        unsafe { *RACY.0.get() += 1 };
                    }
                });
            }
        });
    }

    #[test]
    #[ignore = "wrong on purpose: a control of ci/sanitizers and ci/miri"]
    fn use_after_free() {
        let freed = Box::into_raw(Box::new([0u8; 100]));
        // SAFETY: none, see above: the box is gone when it is read.
        let byte = unsafe {
            drop(Box::from_raw(freed));
            freed.cast::<u8>().read_volatile()
        };
        std::println!("{byte}");
    }
}
