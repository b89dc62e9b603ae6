//! The misuse suite's tables and docs/SECURITY-TESTS.md.
//!
//! ```text
//! programs/misuse ──run──> facts/misuse.tsv         ours, a column a level     `misuse --measure`
//!                    └───> facts/misuse_peers.tsv   a column an allocator      `misuse --measure --peers`
//! facts/misuse*.tsv ─────> docs/SECURITY-TESTS.md                              `misuse`
//! ```
//! M1  Measuring rewrites verdicts; a note that somebody wrote to a case stays, and so does a verdict that allows for chance
//!     (`damaged/crashed`: what lies before the heap is the system's choice) and for what was measured.
//! M2  What is checked in is what comes out of the tables: a test compares. What the tables say of us is what the programs do:
//!     `process_misuse_suite` runs them.

mod document;
mod peers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use jemoxide_testkit::facts::Row;
use jemoxide_testkit::misuse::{self, Case, Heap, Verdict};
use jemoxide_testkit::{artifacts, facts};

use crate::{Done, put};

pub use document::text;

/// Where the document is.
pub fn path() -> PathBuf {
    artifacts::workspace().join("docs/SECURITY-TESTS.md")
}

/// The command.
pub fn write() -> Done {
    put(&path(), &text()?)?;
    Ok(format!("written: {}\n", path().display()))
}

/// Runs the suite `repeat` times at `levels` (none: those that the table has), keeps the worst verdict of each case, and rewrites the table of facts. The document is made by the next build, which has the facts in it.
pub fn measure(levels: &[String], repeat: usize) -> Done {
    let cases = cases()?;
    let table = facts::misuse();
    let mut columns = Vec::new();
    let known: Vec<String> = document::levels(&table)
        .into_iter()
        .map(str::to_owned)
        .collect();
    for level in if levels.is_empty() { &known } else { levels } {
        let heap = Heap::Ours(level.clone());
        let mut worst = run(&cases, &heap)?;
        for _ in 1..repeat {
            for (worst, verdict) in worst.iter_mut().zip(run(&cases, &heap)?) {
                *worst = (*worst).max(verdict);
            }
        }
        columns.push((level.clone(), worst));
    }
    let before: BTreeMap<&str, Row<'_>> = table.rows().map(|row| (row.get("case"), row)).collect();
    let mut text = String::from("language\tgroup\tcase\twhat");
    columns.iter().for_each(|(level, _)| {
        let _ = write!(text, "\t{level}");
    });
    text.push_str("\tnote\n");
    for (index, case) in cases.iter().enumerate() {
        let _ = write!(
            text,
            "{}\t{}\t{}\t{}",
            case.language.word(),
            case.group,
            case.name,
            case.what
        );
        let before = before.get(&*case.name);
        for (level, verdicts) in &columns {
            let verdict = verdicts[index].word();
            let allowed = match before {
                Some(row) if table.columns().contains(&level.as_str()) => row.get(level),
                _ => "",
            };
            let is_allowed = allowed.split('/').any(|word| word == verdict);
            let _ = write!(text, "\t{}", if is_allowed { allowed } else { verdict });
        }
        let _ = writeln!(text, "\t{}", before.map_or("", |row| row.get("note")));
    }
    put(&facts_folder().join("misuse.tsv"), &text)?;
    Ok(report(&columns))
}

/// Runs the suite on the other allocators that are here, or on those that are named, and rewrites their table. Columns of others stay.
///
/// `is_building`: builds those first that come from crates.
pub fn measure_peers(names: &[String], is_building: bool) -> Done {
    let cases = cases()?;
    if is_building {
        peers::build()?;
    }
    let table = facts::misuse_peers();
    let before: BTreeMap<&str, Row<'_>> = table.rows().map(|row| (row.get("case"), row)).collect();
    let (mut heads, mut columns, mut measured) = (Vec::new(), Vec::new(), Vec::new());
    for peer in peers::find() {
        let is_known = table.columns().contains(&peer.name.as_str());
        let words: Vec<String> = if names.is_empty() || names.contains(&peer.name) {
            let verdicts = run(&cases, &Heap::Peer(peer.library.clone()))?;
            let words = verdicts.iter().map(ToString::to_string).collect();
            measured.push((peer.name.clone(), verdicts));
            words
        } else if is_known {
            let word = |case: &Case| {
                before
                    .get(&*case.name)
                    .map(|row| row.get(&peer.name).to_owned())
            };
            cases
                .iter()
                .map(word)
                .collect::<Option<_>>()
                .ok_or("there are cases that were not measured yet: measure all peers")?
        } else {
            continue;
        };
        heads.push((peer.name, peer.version));
        columns.push(words);
    }
    let names: Vec<&str> = heads.iter().map(|(name, _)| name.as_str()).collect();
    let versions: Vec<&str> = heads.iter().map(|(_, version)| version.as_str()).collect();
    let mut text = format!(
        "case\t{}\n(version)\t{}\n",
        names.join("\t"),
        versions.join("\t")
    );
    for (index, case) in cases.iter().enumerate() {
        text.push_str(&case.name);
        for words in &columns {
            let _ = write!(text, "\t{}", words[index]);
        }
        text.push('\n');
    }
    put(&facts_folder().join("misuse_peers.tsv"), &text)?;
    Ok(report(&measured))
}

fn cases() -> Result<Vec<Case>, String> {
    misuse::cases().ok_or_else(|| "compilers for C and C++ are needed".to_owned())
}

fn run(cases: &[Case], heap: &Heap) -> Result<Vec<Verdict>, String> {
    let results = misuse::run_all(cases, heap).ok_or("compilers for C and C++ are needed")?;
    Ok(results.into_iter().map(|(verdict, _)| verdict).collect())
}

fn facts_folder() -> PathBuf {
    artifacts::workspace().join("crates/testkit/facts")
}

fn report(columns: &[(String, Vec<Verdict>)]) -> String {
    let mut text = String::new();
    for (name, verdicts) in columns {
        let share = Share::of(verdicts.iter().copied());
        let _ = writeln!(text, "{name:<16} {share}");
    }
    text
}

/// How many of how many cases were caught. Calls that an allocator does not have count nowhere.
#[derive(Clone, Copy, Default)]
struct Share {
    caught: usize,
    all: usize,
}

impl Share {
    fn of(verdicts: impl Iterator<Item = Verdict>) -> Self {
        Self::counting(verdicts, Verdict::is_caught)
    }

    /// Those that were caught before other memory was harmed.
    fn in_time(verdicts: impl Iterator<Item = Verdict>) -> Self {
        Self::counting(verdicts, Verdict::is_caught_in_time)
    }

    fn counting(
        verdicts: impl Iterator<Item = Verdict>,
        is_caught: impl Fn(Verdict) -> bool,
    ) -> Self {
        verdicts.filter(|&verdict| verdict != Verdict::Absent).fold(
            Self::default(),
            |sum, verdict| Self {
                caught: sum.caught + usize::from(is_caught(verdict)),
                all: sum.all + 1,
            },
        )
    }

    /// Rounded down, so that a goal is not reached by rounding; a dash where nothing counts.
    fn percent(self) -> String {
        match self.all {
            0 => "-".to_owned(),
            all => format!("{} %", 100 * self.caught / all),
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} of {} ({})", self.caught, self.all, self.percent())
    }
}
