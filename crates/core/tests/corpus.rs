//! Everything that fuzzing keeps (fuzz/corpus), as an ordinary test, and random inputs of the same kinds.
//!
//! One test, as the targets share the process's allocator: what one is in the middle of, another would see.
#![cfg(not(loom))]
#![allow(
    unreachable_pub,
    reason = "modules that are a crate of their own elsewhere"
)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/maps.rs"]
mod maps;
#[path = "../../../fuzz/src/names.rs"]
mod names;
#[path = "../../../fuzz/src/operations.rs"]
mod operations;
#[path = "../../../fuzz/src/options.rs"]
mod options;

/// A target, and the length and number of its random inputs.
type Target = (&'static str, fn(&[u8]), usize, usize);

/// In this order: the last one changes settings.
const TARGETS: [Target; 4] = [
    ("operations", operations::run, 4 * 300, 20),
    ("maps", maps::run, 200, 300),
    ("options", options::run, 60, 300),
    ("mallctl", names::run, 400, 300),
];

#[test]
fn kept_and_random_inputs_are_survived() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut state = 7u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    for (name, run, length, count) in TARGETS {
        let mut kept = 0;
        for entry in fs::read_dir(corpus.join(name)).expect("the corpus is part of the source") {
            let path = entry.expect("readable").path();
            println!("{}", path.display());
            run(&fs::read(path).expect("readable"));
            kept += 1;
        }
        assert!(kept > 0, "no input is kept for {name}");
        for round in 0..count {
            let input: Vec<u8> = (0..length).map(|_| next()).collect();
            println!("{name}: random input {round}");
            run(&input);
        }
    }
}
