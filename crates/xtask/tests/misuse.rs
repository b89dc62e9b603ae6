//! docs/SECURITY-TESTS.md is what the tables of verdicts give.

use std::fs;

use jemoxide_xtask::misuse;

#[test]
fn the_document_is_up_to_date() {
    let text = misuse::text().unwrap_or_else(|error| panic!("{error}"));
    let there = fs::read_to_string(misuse::path()).unwrap_or_default();
    let differs = there
        .lines()
        .zip(text.lines())
        .find(|(there, made)| there != made);
    assert!(
        there == text,
        "run `cargo xtask misuse`; first difference: {differs:?}"
    );
}
