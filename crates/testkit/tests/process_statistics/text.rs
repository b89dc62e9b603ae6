//! Statistics as text: sections and headings in their order (rule S2).

use std::collections::BTreeSet;
use std::path::Path;

use jemoxide_testkit::{artifacts, facts, original};

use crate::{prepare, text_of};

/// What the text must have of a section's row, in order: its columns, or the words of its lines.
fn words(row: facts::Row<'_>) -> Vec<String> {
    let (number, title) = row.get("path_or_name").split_once(' ').expect("a number");
    let columns = row.get("type_or_columns");
    let (columns, _) = columns.split_once("; rows").unwrap_or((columns, ""));
    let list = match number {
        // Of builds with profiling.
        "06" => "",
        "02" | "03" | "04" | "05" => title,
        "08" => "Allocated|active|metadata|n_thp|edata|rtree|resident|mapped|retained|pinned",
        "09" => "Count of realloc(non-null-ptr, 0) calls",
        "10" => "Background threads|num_runs|run_interval",
        // The first column is that of names and has no title.
        "11" => columns.trim_start_matches("name | "),
        "12" => "Merged arenas stats:",
        "17" => "n_lock_ops|max_n_thds",
        "21" => {
            "Bytes in small extent cache|hits|misses|dalloc without flush|dalloc with flush|overfills"
        }
        "24" => "In full slabs|npageslabs|nactive|ndirty|nretained|In empty slabs",
        _ => columns,
    };
    let list = match number {
        "14" | "18" | "19" | "20" => list.replacen(": ", ":|", 1),
        _ => list.to_owned(),
    };
    let words = list.split('|').map(|word| match word.trim() {
        "(blank)" | "mutex columns" => "",
        optional if optional.starts_with('[') || optional.ends_with(']') => "",
        "prof_live_count" | "prof_accum_requested" => "",
        word => word.split(" (").next().unwrap(),
    });
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn text_has_the_sections_of_the_table_in_order() {
    let Some(text) = text_of("write", None, "narenas:2") else {
        return;
    };
    let mut rest = &text[..];
    let table = facts::stats();
    let mut sections = 0;
    for row in table.rows().filter(|row| row.get("kind") == "text") {
        for word in words(row) {
            let at = rest
                .find(&word)
                .unwrap_or_else(|| panic!("{}: no {word:?} in\n{rest}", row.get("path_or_name")));
            rest = &rest[at + word.len()..];
        }
        sections += 1;
    }
    assert_eq!(sections, 26);
    // Rows of nothing are one line.
    assert!(text.contains("\n                     ---\n"));
    assert!(!text.contains("---\n                     ---\n"));
}

/// Lines without figures: what is left are sections and columns.
fn skeleton(text: &str) -> Vec<String> {
    let words = |line: &str| {
        let line: String = line
            .chars()
            .map(|letter| if letter.is_ascii_digit() { ' ' } else { letter })
            .collect();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let lines = text.lines().map(words);
    let mut lines: Vec<_> = lines
        .filter(|line| line.chars().any(char::is_alphabetic))
        .filter(|line| !line.starts_with("opt.") && !line.starts_with("config."))
        .filter(|line| !line.starts_with("prof.") && *line != "Profiling settings")
        .filter(|line| !line.starts_with("Version") && !line.starts_with("metadata_"))
        .collect();
    lines.dedup();
    lines
}

/// Lines that later versions added, or changed; the table has them.
const LATER: [&str; 27] = [
    "System configuration",
    "system.thp_mode",
    "Hugepage size:",
    "Allocated:",
    "name:",
    "pinned:",
    "extents_pinned",
    "extents:",
    "Small extent cache",
    "Pageslabs",
    "Active pages",
    "Dirty pages",
    "Retained pages",
    "Hugify failures",
    "extent allocation distribution:",
    "index min_extents",
    "In nonfull slabs:",
    "nactive:",
    "ndirty:",
    "nretained:",
    "npageslabs:",
    // Of what a run has.
    "e ",
    "Merged arenas stats:",
    "arenas[",
    "race",
    "auto",
    "N/A",
];

#[test]
fn text_has_the_headings_of_debians_jemalloc() {
    let Some(original) = original::library() else {
        return;
    };
    let lines = |library: &Path| -> Option<Vec<String>> {
        let run = prepare(library, "write", None, "narenas:1")?;
        let text = run.run().expect_success().stdout;
        let lines = skeleton(&text).into_iter();
        let lines = lines.filter(|line| !LATER.iter().any(|later| line.starts_with(later)));
        Some(lines.collect())
    };
    let (Some(theirs), Some(ours)) = (lines(&original), lines(&artifacts::library())) else {
        return;
    };
    assert!(theirs.len() > 50, "{theirs:?}");
    let mut ours_left = ours.iter();
    for line in &theirs {
        assert!(
            ours_left.any(|our| our == line),
            "{line:?} is not there, or not in its place:\n{ours:#?}"
        );
    }
    let theirs: BTreeSet<_> = theirs.iter().collect();
    let extra: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    assert_eq!(extra, [""; 0]);
}
