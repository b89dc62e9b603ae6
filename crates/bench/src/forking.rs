//! Forking: what a fork costs a large program with many threads.
//!
//! `fork/forking.c` has a thousand sleeping threads and a gibibyte of small objects; an allocator must be at
//! rest when the fork happens, and its child must be able to allocate. The kernel's own part, copying the page tables,
//! is measured beside by a bare system call: it grows with what is resident.
//!
//! F1  All entrants of a round run one after the other; each child checks what it sees of its parent's objects.

use crate::compile;
use crate::output::{Output, Progress};
use crate::peers::Peer;
use crate::process::Program;
use crate::row::{self, Cell, Row};
use serde::Deserialize;
use std::time::Duration;

/// Threads, mebibytes, forks.
type Size = (u64, u64, u64);
const FULL: Size = (1000, 1024, 40);
const QUICK: Size = (100, 128, 20);

/// How long one run may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a run tells, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Told {
    fork_median: u64,
    fork_worst: u64,
    child_median: u64,
    bare_median: u64,
}

/// Key, title and figure of a row.
type Measure = (&'static str, &'static str, fn(&Told) -> u64);

const MEASURES: &[Measure] = &[
    ("fork_median", "fork, median, us", |told| told.fork_median),
    ("fork_worst", "fork, longest, us", |told| told.fork_worst),
    (
        "fork_child",
        "fork to the end of a child that allocates, us",
        |told| told.child_median,
    ),
    ("fork_bare", "the kernel's part: a bare fork, us", |told| {
        told.bare_median
    }),
];

/// Measures and prints the table.
pub(crate) fn run(peers: &[Peer], output: &Output, runs: usize, quick: bool) -> Result<(), String> {
    let (threads, mib, forks) = if quick { QUICK } else { FULL };
    let program = compile::c_program("fork", "forking", &compile::build_dir()?)?;
    let program = Program::new(program)
        .args([threads, mib, forks].map(|number| number.to_string()))
        .deadline(DEADLINE);
    let here = || peers.iter().filter(|peer| peer.is_here());
    let progress = Progress::new(output, (runs * here().count()) as u64, "fork");
    let mut rows: Vec<Row> = MEASURES
        .iter()
        .map(|(key, title, _)| Row::new(key, title, 0))
        .collect();
    let mut told: Vec<(&Peer, Vec<Result<Told, String>>)> =
        here().map(|peer| (peer, Vec::new())).collect();
    for _ in 0..runs {
        for (peer, told) in &mut told {
            told.push(run_once(peer, &program));
            progress.step(&peer.name);
        }
    }
    drop(progress);
    for (peer, told) in &told {
        for (row, (_, _, figure)) in rows.iter_mut().zip(MEASURES) {
            let micros = |run: &Result<Told, String>| {
                run.as_ref()
                    .map(|told| figure(told) as f64 / 1e3)
                    .map_err(Clone::clone)
            };
            let cell = Cell::from_runs(told.iter().map(micros).collect());
            row.cells.insert(peer.name.clone(), cell);
        }
    }
    let title = format!("Forks with {threads} threads and {mib} MiB (lower is better)");
    let names = crate::peers::names(peers);
    output.print(&row::table(&title, &rows, &names, runs > 2));
    output.print_lines(&row::failures(&rows));
    output.save("fork", peers, &rows)
}

fn run_once(peer: &Peer, program: &Program) -> Result<Told, String> {
    let run = peer.run_on(program.clone()).run()?;
    serde_json::from_str(&run.stdout).map_err(|error| format!("it told {:?}: {error}", run.stdout))
}

#[cfg(test)]
mod tests {
    use super::run_once;
    use crate::compile;
    use crate::peers::{self, Workshop};
    use crate::process::Program;

    #[test]
    fn a_small_program_is_measured() {
        let peers = peers::discover(None, &["glibc".into()], &Workshop::closed()).unwrap();
        let dir = compile::build_dir().unwrap();
        let program = match compile::c_program("fork", "forking", &dir) {
            Err(error) if error.contains("cannot run") => {
                println!("NOT TESTED: {error}");
                return;
            }
            program => Program::new(program.unwrap()),
        };
        let told = run_once(&peers[0], &program.args(["4", "2", "3"])).unwrap();
        assert!(told.fork_median > 0 && told.fork_worst >= told.fork_median);
        assert!(told.child_median >= told.fork_median && told.bare_median > 0);
    }
}
