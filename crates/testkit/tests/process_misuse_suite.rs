//! The misuse suite at every level of hardening: each case ends as `facts/misuse.tsv` says.
//!
//! At the default level a verdict that is better than the table's fails too: the table then wants `cargo xtask misuse
//! --measure`. The other levels place objects at random, so that a case ends by a trap today and by name tomorrow, and what the
//! table has as missed is caught now and then: there, what is caught must be caught, and nothing crashes.

use std::collections::BTreeSet;

use jemoxide_testkit::artifacts;
use jemoxide_testkit::compiler;
use jemoxide_testkit::facts;
use jemoxide_testkit::misuse::{self, Heap, Verdict};

/// Columns of the table that are no level.
const PLAIN: [&str; 5] = ["language", "group", "case", "what", "note"];

#[test]
fn the_table_has_each_case_once() {
    let Some(cases) = misuse::cases() else {
        return;
    };
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "names are unique");
    assert!(cases.len() >= 120, "{} cases", cases.len());
    let said: Vec<[String; 4]> = cases
        .iter()
        .map(|case| {
            let language = case.language.word().to_owned();
            [
                language,
                case.group.clone(),
                case.name.clone(),
                case.what.clone(),
            ]
        })
        .collect();
    let table: Vec<[String; 4]> = facts::misuse()
        .rows()
        .map(|row| ["language", "group", "case", "what"].map(|column| row.get(column).to_owned()))
        .collect();
    assert!(
        said == table,
        "`cargo xtask misuse --measure` writes the table; first difference: {:?}",
        said.iter().zip(&table).find(|(said, row)| said != row)
    );
}

fn is_as_expected(level: &str, expected: &str, verdict: Verdict) -> bool {
    let mut words = expected.split('/').filter_map(Verdict::of);
    if level == misuse::DEFAULT_LEVEL {
        return words.any(|word| word == verdict);
    }
    let is_death = matches!(verdict, Verdict::Crashed | Verdict::Hung);
    words.any(|word| match word.is_caught() {
        true => verdict.is_caught(),
        false => !is_death || word == verdict,
    })
}

#[test]
fn every_case_ends_as_the_table_says() {
    if artifacts::is_stand_in() {
        compiler::announce_untested("the table is about this library");
        return;
    }
    let Some(cases) = misuse::cases() else {
        return;
    };
    let table = facts::misuse();
    let levels = table.columns().iter().filter(|name| !PLAIN.contains(name));
    let mut complaints = Vec::new();
    for level in levels {
        let Some(results) = misuse::run_all(&cases, &Heap::Ours((*level).to_owned())) else {
            return;
        };
        for ((case, (verdict, outcome)), row) in cases.iter().zip(results).zip(table.rows()) {
            let expected = row.get(level);
            if !is_as_expected(level, expected, verdict) {
                complaints.push(format!(
                    "{} at {level}: {verdict}, expected {expected}: {outcome}",
                    case.name
                ));
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{} verdicts\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}
