//! The whole allocator against the naive model: random operations on the preloaded library, in a
//! process of its own, through every family of functions, alone and with several threads.

use jemoxide_testkit::naive::{Heap, Report, Workload};
use jemoxide_testkit::{artifacts, child, door};

/// Runs `plan` in a child under the library, through the heap that `find` finds there.
fn check<H: Heap>(test: &str, find: fn() -> H, plan: &Workload) {
    if let Some(run) = child::rerun(test) {
        run.preload(artifacts::library()).run().expect_success();
        return;
    }
    door::assert_provider(&artifacts::library());
    let report = plan.run(&find());
    let Report {
        allocated,
        zeroed,
        resized,
        freed,
        freed_remotely,
    } = report;
    assert!(zeroed > 0 && resized > 0 && freed > 0, "{report:?}");
    assert_eq!(allocated, freed + freed_remotely);
    assert_eq!(freed_remotely > 0, plan.threads > 1, "{report:?}");
}

fn alone() -> Workload {
    Workload {
        operations: 60_000,
        live: 1000,
        ..Workload::default()
    }
}

/// Few bytes, many blocks: slabs fill up and empty again.
fn small() -> Workload {
    Workload {
        operations: 300_000,
        live: 20_000,
        max_size: 700,
        max_align: 64,
        ..alone()
    }
}

/// Above the small classes: page runs, growth in place, moves.
fn large() -> Workload {
    Workload {
        operations: 4000,
        live: 40,
        max_size: 6 << 20,
        max_align: 4 << 20,
        ..alone()
    }
}

fn together() -> Workload {
    Workload {
        operations: 20_000,
        live: 500,
        threads: 6,
        ..alone()
    }
}

macro_rules! families {
    ($($family:ident: $heap:ident;)*) => {
        $(
            mod $family {
                use super::door::$heap;

                #[test]
                fn alone() {
                    super::check(concat!(stringify!($family), "::alone"), $heap::find, &super::alone());
                }

                #[test]
                fn small() {
                    super::check(concat!(stringify!($family), "::small"), $heap::find, &super::small());
                }

                #[test]
                fn large() {
                    super::check(concat!(stringify!($family), "::large"), $heap::find, &super::large());
                }

                #[test]
                fn together() {
                    super::check(concat!(stringify!($family), "::together"), $heap::find, &super::together());
                }
            }
        )*
    };
}

families! {
    standard: Standard;
    extended: Extended;
    operators: Operators;
}
