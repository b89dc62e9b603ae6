//! The checked-in headers are what the tables give, and define what jemalloc's do.

use std::collections::BTreeSet;
use std::fs;

use jemoxide_testkit::facts;
use jemoxide_xtask::headers;

#[test]
fn the_headers_are_up_to_date() {
    for (path, text) in headers::texts().expect("the tables are whole") {
        let there = fs::read_to_string(headers::folder().join(path)).unwrap_or_default();
        assert_eq!(there, text, "{path}: run `cargo xtask headers`");
    }
}

#[test]
fn every_known_name_has_one_line_or_a_reason() {
    let mut names = BTreeSet::new();
    for (defined, ..) in headers::lines() {
        for name in defined {
            assert!(names.insert(name), "{name} twice");
        }
    }
    let table = facts::header();
    let known: BTreeSet<_> = table.rows().map(|row| row.get("name")).collect();
    let unknown: Vec<_> = names.difference(&known).collect();
    assert!(unknown.is_empty(), "not in facts/header.tsv: {unknown:?}");
    let from_frame = |name: &str| {
        name.starts_with("je_")
            || name.starts_with("JEMALLOC_VERSION")
            || name == "JEMALLOC_NO_DEMANGLE"
            || headers::NOT_HERE.iter().any(|(other, _)| *other == name)
    };
    for name in known.difference(&names) {
        assert!(from_frame(name), "tables/header.tsv has no line for {name}");
    }
}
