//! Misuse that can be recognised for free: one line that names fault and pointer, then abort.
//!
//! ```text
//!  fault                            seen at level standard
//!  foreign pointer                  the page map knows no such page: at once
//!  interior or unaligned, large     the extent starts elsewhere: at once
//!  interior or unaligned, small     no slot starts there: when the magazine reaches its slab
//!  double free, large               the extent is idle: at once
//!  size given with a free           its class is not the page's: at once
//!  double free, small or cached     the slot's bit is clear: when the magazine reaches its slab
//!  anything, an object of no bytes  its place is free, or starts elsewhere: at once
//! ```
//! A block that was handed out again between two frees is not seen: nothing tells it apart.

use std::thread;

use jemoxide_testkit::child::{Outcome, Run};
use jemoxide_testkit::{artifacts, compiler};

/// What every message starts with.
const PREFIX: &str = "<jemoxide>: ";

/// Case of the program, and words of which the message must hold one.
const CASES: [(&str, &[&str]); 30] = [
    ("stack", FOREIGN),
    ("static", FOREIGN),
    ("mapped", FOREIGN),
    ("mapped-inside", FOREIGN),
    ("code", FOREIGN),
    ("first-page", FOREIGN),
    ("above-48-bits", FOREIGN),
    ("above-47-bits", FOREIGN),
    ("interior-small", INTERIOR),
    ("unaligned-small", INTERIOR),
    ("interior-large", INTERIOR),
    ("unaligned-large", INTERIOR),
    ("interior-cached-large", INTERIOR),
    ("interior-huge", INTERIOR),
    ("double-at-once", DOUBLE),
    ("double-delayed", DOUBLE),
    ("double-medium", DOUBLE),
    ("double-cached-large", FREED),
    ("double-large", FREED),
    ("double-huge", FREED),
    ("double-huge-trimmed", FREED),
    ("realloc-of-freed-large", FREED),
    ("realloc-of-foreign", FOREIGN),
    ("usable-size-of-foreign", FOREIGN),
    ("usable-size-of-interior", INTERIOR),
    ("double-empty", DOUBLE),
    ("interior-empty", INTERIOR),
    ("wrong-size-small", SIZE),
    ("wrong-size-large", SIZE),
    ("wrong-pages-large", SIZE),
];

const FOREIGN: &[&str] = &["not from this allocator"];
const INTERIOR: &[&str] = &["not the start of an allocation"];
const DOUBLE: &[&str] = &["double free"];
const SIZE: &[&str] = &["wrong size"];
/// A large block's pages may have gone back to the system, or to another use, since.
const FREED: &[&str] = &["double free", "not from this allocator"];

#[test]
fn misuse_dies_with_one_line_that_names_it() {
    every_case_dies("", |words| words);
}

#[test]
fn misuse_of_sampled_objects_does_too() {
    // The slab of a sample may be gone with its last object, as a large block's pages.
    let words = |words: Words| if words == DOUBLE { FREED } else { words };
    every_case_dies("prof:true,lg_prof_sample:0", words);
}

#[test]
fn messages_tell_which_object_it_was() {
    let Some(program) = compiler::c("process/misuse.c", "misuse", &[]) else {
        return;
    };
    for (case, what) in [
        ("interior-small", ", 128 bytes into class 640 of arena "),
        ("double-at-once", ", class 64 of arena "),
        ("double-large", ", large, "),
        ("double-empty", ", an object of no bytes "),
    ] {
        let outcome = Run::new(&program)
            .arg(case)
            .preload(artifacts::library())
            .run();
        assert!(outcome.stderr.contains(what), "{case}: {outcome}");
    }
}

#[test]
fn off_lets_objects_of_no_bytes_be_touched_and_raises_no_fence() {
    let Some(program) = compiler::c("process/misuse.c", "misuse", &[]) else {
        return;
    };
    for case in ["touch-empty", "beyond-large"] {
        for (options, signal) in [("", Some(libc::SIGSEGV)), ("hardening:off", None)] {
            let outcome = Run::new(&program)
                .arg(case)
                .preload(artifacts::library())
                .env("MALLOC_CONF", options)
                .run();
            assert_eq!(outcome.signal, signal, "{case} at {options:?}: {outcome}");
        }
    }
}

type Words = &'static [&'static str];

fn every_case_dies(options: &str, words_of: fn(Words) -> Words) {
    let Some(program) = compiler::c("process/misuse.c", "misuse", &[]) else {
        return;
    };
    let library = artifacts::library();
    // Each case waits for caches to age; all wait at once.
    let runs: Vec<_> = CASES
        .iter()
        .map(|&(case, _)| {
            let run = Run::new(&program)
                .arg(case)
                .preload(&library)
                .env("MALLOC_CONF", options);
            thread::spawn(move || run.run())
        })
        .collect();
    let failures: Vec<String> = runs
        .into_iter()
        .zip(CASES)
        .filter_map(|(run, (case, words))| {
            let outcome = run.join().expect("the runner does not panic");
            complaint(&outcome, words_of(words))
                .map(|reason| format!("{case}: {reason}: {outcome}"))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases\n{}",
        failures.len(),
        CASES.len(),
        failures.join("\n")
    );
}

/// What is wrong with this death, if anything.
fn complaint(outcome: &Outcome, words: &[&str]) -> Option<&'static str> {
    let pointer = outcome.stdout.lines().next().unwrap_or("no pointer");
    let line = outcome.stderr.strip_suffix('\n').unwrap_or("no line");
    if outcome.timed_out || outcome.signal != Some(libc::SIGABRT) {
        Some("no abort")
    } else if outcome.stdout.lines().count() != 1 {
        Some("the program printed something else than the pointer")
    } else if line.contains('\n') || !line.starts_with(PREFIX) {
        Some("not one line with the prefix")
    } else if !words.iter().any(|word| line.contains(word)) {
        Some("the fault is not named")
    } else if !line
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == pointer)
    {
        Some("the pointer is not named")
    } else {
        None
    }
}
