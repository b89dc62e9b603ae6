//! The document, from the two tables of facts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jemoxide_testkit::facts::{self, Row, Table};
use jemoxide_testkit::misuse::Verdict;

use super::Share;

/// Columns of the table that are no level.
const PLAIN: [&str; 5] = ["language", "group", "case", "what", "note"];

const HEAD: &str = "\
<!-- Made by `cargo xtask misuse`; do not edit here. Verdicts come from crates/testkit/facts/misuse.tsv and misuse_peers.tsv. -->
# Misuse, and what becomes of it

The programs in `crates/testkit/programs/misuse` (C, C++, Rust) each commit one misuse in a process of their own. Before it,
blocks of many sizes are live and filled with patterns; after it, the program compares them, goes on allocating and freeing
some MiB in the sizes concerned, ends its thread and calls `malloc_trim`, so that a fault that is noticed late has its
chance. `cargo test -p jemoxide-testkit --test process_misuse_suite` runs all cases at standard, strong and paranoid (not at off).
At standard each has to end by the verdict written here. Strong and paranoid place objects at random: their columns have the worst
of several runs, and the test fails where a case ends worse. There `name`, `late`, `trap` and `refusal` stand for each other;
`late-damaged` passes only where it is written, `wiped`, `missed` and `damaged` only for themselves or a later one of the three.
`cargo xtask misuse --measure --repeat 3` writes the verdicts anew, with `--peers` those of the other allocators on this machine.

C and C++ cases run on the preloaded library, Rust's on the crate as the program's allocator; on the other allocators
Rust's cases run over libc's `malloc`, which does not see layouts.

| verdict | what happened | caught |
| --- | --- | --- |
| name | a message that names the fault, at the call or access; then abort | yes |
| late | the same, at a later call (when a thread cache gives the block to its slab, or when the block is freed); nothing was harmed by then | yes |
| late-damaged | the same, but by then other live memory had changed or been handed out twice | yes |
| trap | a signal at the call or access itself, without a message | yes |
| refusal | an answer that does no harm: null with `ENOMEM`, an exception, no slack lent | yes |
| wiped | it ran on, and a read of freed memory gave nothing of what had been there | no |
| missed | it ran on; all memory that was live is intact | no |
| damaged | it ran on; live memory was changed, or memory was handed out twice | no |
| crashed | it died later without a message | no |
| absent | the allocator has no such call; not counted | |
";

/// The whole document.
pub fn text() -> Result<String, String> {
    let ours = facts::misuse();
    let peers = facts::misuse_peers();
    let levels = levels(&ours);
    let names: Vec<&str> = except(&peers, &["case"]);
    let by_case: BTreeMap<&str, Row<'_>> = peers.rows().map(|row| (row.get("case"), row)).collect();
    let versions = by_case
        .get("(version)")
        .ok_or("misuse_peers.tsv has no row (version)")?;

    let mut text = String::from(HEAD);
    text.push_str(
        "\n## In all\n\n`in time` leaves out `late-damaged`: what was told when other live memory had changed already.\n\n\
         | allocator | caught | share | in time | share |",
    );
    let shown: Vec<Verdict> = Verdict::ALL
        .into_iter()
        .filter(|verdict| *verdict != Verdict::Hung)
        .collect();
    for verdict in &shown {
        let _ = write!(text, " {verdict} |");
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(shown.len() + 4));
    text.push('\n');
    for level in &levels {
        let verdicts = column(&ours, level)?;
        line(&mut text, &format!("jemoxide, {level}"), &verdicts, &shown);
    }
    let measured: BTreeMap<&str, Vec<Verdict>> = names
        .iter()
        .map(|name| {
            let verdicts = ours.rows().map(|row| {
                let peer = by_case.get(row.get("case"));
                verdict(peer.map_or("", |peer| peer.get(name)), row.get("case"))
            });
            Ok((*name, verdicts.collect::<Result<_, String>>()?))
        })
        .collect::<Result<_, String>>()?;
    for name in &names {
        line(
            &mut text,
            &format!("{name} ({})", versions.get(name)),
            &measured[name],
            &shown,
        );
    }
    groups(&mut text, &ours, &levels, &names, &measured)?;
    all_cases(&mut text, &ours, &levels, &names, &measured);
    Ok(text)
}

/// The levels of hardening that the table has columns for.
pub(super) fn levels(ours: &Table) -> Vec<&'static str> {
    except(ours, &PLAIN)
}

fn except(table: &Table, plain: &[&str]) -> Vec<&'static str> {
    let columns = table.columns().iter().copied();
    columns.filter(|name| !plain.contains(name)).collect()
}

/// Of a cell that allows for chance, the first word counts.
fn verdict(cell: &str, case: &str) -> Result<Verdict, String> {
    let word = cell.split('/').next().unwrap_or(cell);
    Verdict::of(word).ok_or_else(|| format!("{case}: {word:?} is no verdict"))
}

fn column(table: &Table, name: &str) -> Result<Vec<Verdict>, String> {
    table
        .rows()
        .map(|row| verdict(row.get(name), row.get("case")))
        .collect()
}

fn line(text: &mut String, name: &str, verdicts: &[Verdict], shown: &[Verdict]) {
    let _ = write!(text, "| {name} |");
    for share in [Share::of, Share::in_time].map(|of| of(verdicts.iter().copied())) {
        let _ = write!(
            text,
            " {} of {} | {} |",
            share.caught,
            share.all,
            share.percent()
        );
    }
    for wanted in shown {
        let count = verdicts.iter().filter(|verdict| *verdict == wanted).count();
        let _ = write!(text, " {count} |");
    }
    text.push('\n');
}

/// Shares by kind of misuse.
fn groups(
    text: &mut String,
    ours: &Table,
    levels: &[&str],
    names: &[&str],
    measured: &BTreeMap<&str, Vec<Verdict>>,
) -> Result<(), String> {
    text.push_str("\n## By kind of misuse\n\nCaught, in percent.\n\n| kind | cases |");
    heads(text, levels, names);
    text.push_str("| --- | ---: |");
    text.push_str(&" ---: |".repeat(levels.len() + names.len()));
    text.push('\n');
    for kind in kinds(ours) {
        let chosen: Vec<usize> = ours
            .rows()
            .enumerate()
            .filter(|(_, row)| row.get("group") == kind)
            .map(|(index, _)| index)
            .collect();
        let _ = write!(text, "| {kind} | {} |", chosen.len());
        let of = |verdicts: &[Verdict]| Share::of(chosen.iter().map(|&index| verdicts[index]));
        for level in levels {
            let _ = write!(text, " {} |", of(&column(ours, level)?).percent());
        }
        for name in names {
            let _ = write!(text, " {} |", of(&measured[name]).percent());
        }
        text.push('\n');
    }
    Ok(())
}

/// Kinds of misuse, as they come first in the table.
fn kinds(ours: &Table) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for row in ours.rows() {
        if !kinds.contains(&row.get("group")) {
            kinds.push(row.get("group"));
        }
    }
    kinds
}

fn heads(text: &mut String, levels: &[&str], names: &[&str]) {
    for head in levels.iter().chain(names) {
        let _ = write!(text, " {head} |");
    }
    text.push('\n');
}

/// Every case, kind by kind.
fn all_cases(
    text: &mut String,
    ours: &Table,
    levels: &[&str],
    names: &[&str],
    measured: &BTreeMap<&str, Vec<Verdict>>,
) {
    text.push_str("\n## Case by case\n");
    for kind in kinds(ours) {
        let _ = write!(text, "\n### {kind}\n\n| case | language | what it does |");
        heads(text, levels, names);
        text.push_str("| --- | --- | --- |");
        text.push_str(&" --- |".repeat(levels.len() + names.len()));
        text.push('\n');
        for (index, row) in ours.rows().enumerate() {
            if row.get("group") != kind {
                continue;
            }
            let note = match row.get("note") {
                "" => String::new(),
                note => format!(" ({note})"),
            };
            let [case, language, what] = ["case", "language", "what"].map(|name| row.get(name));
            let _ = write!(text, "| {case} | {language} | {what}{note} |");
            for level in levels {
                let _ = write!(text, " {} |", row.get(level));
            }
            for name in names {
                let _ = write!(text, " {} |", measured[name][index]);
            }
            text.push('\n');
        }
    }
}
