//! Sized frees with the wrong size: noticed with a message, or harmless; never a broken heap.

use jemoxide_testkit::linkage::Linkage;

/// Size asked for, size claimed.
const MISTAKES: [(usize, usize); 10] = [
    (100, 40),
    (100, 200),
    (8, 4096),
    (4096, 8),
    (14336, 16384),
    (16384, 14336),
    (100, 200_000),
    (200_000, 100),
    (200_000, 400_000),
    (100, 1 << 62),
];

fn ends_soundly(function: &str) {
    for (asked, claimed) in MISTAKES {
        let Some(run) = Linkage::Preloaded.c("door/wrong_size.c") else {
            return;
        };
        let outcome = run
            .args([function, &asked.to_string(), &claimed.to_string()])
            .run();
        if outcome.status.is_some() {
            assert_eq!(outcome.expect_success().stdout, "sound\n");
        } else {
            let outcome = outcome.expect_death("<jemoxide>: ");
            assert_eq!(
                outcome.stderr.matches('\n').count(),
                1,
                "one line: {outcome}"
            );
        }
    }
}

/// A size whose class differs from the block's is seen at the call, by any function.
#[test]
fn a_wrong_small_class_is_reported() {
    for function in ["free_sized", "sdallocx", "_ZdlPvm"] {
        let Some(run) = Linkage::Preloaded.c("door/wrong_size.c") else {
            return;
        };
        run.args([function, "100", "40"]).run().expect_death("size");
    }
}

/// The right size never is: the program above can end well.
#[test]
fn the_right_size_is_silent() {
    for (asked, claimed) in [
        (100, 100),
        (100, 112),
        (14336, 14336),
        (16384, 16384),
        (200_000, 200_000),
    ] {
        for function in ["free_sized", "free_aligned_sized", "sdallocx", "_ZdlPvm"] {
            let Some(run) = Linkage::Preloaded.c("door/wrong_size.c") else {
                return;
            };
            let outcome = run
                .args([function, &asked.to_string(), &claimed.to_string()])
                .run()
                .expect_success();
            assert_eq!((&*outcome.stdout, &*outcome.stderr), ("sound\n", ""));
        }
    }
}

#[test]
fn free_sized() {
    ends_soundly("free_sized");
}

#[test]
fn free_aligned_sized() {
    ends_soundly("free_aligned_sized");
}

#[test]
fn sdallocx() {
    ends_soundly("sdallocx");
}

#[test]
fn operator_delete() {
    ends_soundly("_ZdlPvm");
}

#[test]
fn operator_delete_array() {
    ends_soundly("_ZdaPvm");
}
