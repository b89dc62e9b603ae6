//! docs/COMPAT.md is what its tables, the facts and the build give.

use std::fs;

use jemoxide_xtask::compat;

#[test]
fn the_document_is_up_to_date() {
    let text = compat::text().unwrap_or_else(|error| panic!("{error}"));
    let there = fs::read_to_string(compat::path()).unwrap_or_default();
    let differs = there
        .lines()
        .zip(text.lines())
        .find(|(there, made)| there != made);
    assert!(
        there == text,
        "run `cargo xtask compat`; first difference: {differs:?}"
    );
}

#[test]
fn every_known_name_stands_in_the_document() {
    use jemoxide_testkit::facts;
    let text = compat::text().unwrap_or_else(|error| panic!("{error}"));
    let columns = [
        (facts::symbols(), "symbol"),
        (facts::options(), "name"),
        (facts::mallctl(), "name"),
        (facts::header(), "name"),
    ];
    for (table, column) in columns {
        for row in table.rows() {
            let name = row.get(column);
            assert!(
                text.contains(&format!("`{name}`")),
                "nothing is said of {name}"
            );
        }
    }
}
