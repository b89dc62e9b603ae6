//! Stall: the longest that a single call takes while a large heap is given back.
//!
//! `stall/giving_back.c` frees 64 GiB of address space, sparsely touched, at once, and another thread allocates
//! and frees beside it until all of it has decayed. An allocator may give back in that very thread, or make it
//! wait for a lock.
//!
//! T1  Times are by the wall clock; a pair that ran while the kernel gave the processor to somebody else is left
//!     out, as far as the kernel says so. What a virtual machine's host takes stays in: the last row shows how much
//!     that is where nothing is given back.
//! T2  All entrants of a round run one after the other, nothing beside them.

use crate::compile;
use crate::output::{Output, Progress};
use crate::peers::{JEMOXIDE, Peer};
use crate::process::Program;
use crate::row::{self, Cell, Row};
use serde::Deserialize;
use std::time::Duration;

/// Gibibytes that are mapped, and seconds after the last free: longer than the default decay of ten.
const FULL: (u64, u64) = (64, 13);
const QUICK: (u64, u64) = (8, 2);

/// How long one run may take.
const DEADLINE: Duration = Duration::from_secs(180);

/// Ours without a thread of its own: calls give back.
const THREADLESS: &str = "jemoxide, no thread";
const THREADLESS_CONF: &str = "background_thread:false";

/// What a run tells, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Told {
    free_worst: u64,
    beside_worst: u64,
    beside_rare: u64,
    calm_worst: u64,
}

/// Key, title and figure of a row.
type Measure = (&'static str, &'static str, fn(&Told) -> u64);

const MEASURES: &[Measure] = &[
    (
        "stall_free",
        "longest call of the thread that frees, us",
        |told| told.free_worst,
    ),
    (
        "stall_beside",
        "longest pair of the thread beside it, us",
        |told| told.beside_worst,
    ),
    ("stall_rare", "1 in 10 000 of those exceeds, us", |told| {
        told.beside_rare
    }),
    ("stall_calm", "longest pair before any of it, us", |told| {
        told.calm_worst
    }),
];

/// Keys of all rows.
#[cfg(test)]
pub(crate) fn keys() -> Vec<&'static str> {
    MEASURES.iter().map(|measure| measure.0).collect()
}

/// Measures and prints the table.
pub(crate) fn run(peers: &[Peer], output: &Output, runs: usize, quick: bool) -> Result<(), String> {
    let (gib, seconds) = if quick { QUICK } else { FULL };
    let program = compile::c_program("stall", "giving_back", &compile::build_dir()?)?;
    let program = Program::new(program)
        .arg(gib.to_string())
        .arg(seconds.to_string())
        .deadline(DEADLINE);
    let entrants = entrants(peers);
    let here = || entrants.iter().filter(|peer| peer.is_here());
    let progress = Progress::new(output, (runs * here().count()) as u64, "stall");
    let mut told: Vec<Vec<Result<Told, String>>> = vec![Vec::new(); entrants.len()];
    for _ in 0..runs {
        for (peer, told) in entrants
            .iter()
            .zip(&mut told)
            .filter(|(peer, _)| peer.is_here())
        {
            progress.step(&peer.name);
            told.push(run_once(peer, &program));
        }
    }
    drop(progress);
    let mut rows: Vec<Row> = MEASURES
        .iter()
        .map(|(key, title, _)| Row::new(key, title, 1))
        .collect();
    for (peer, told) in entrants.iter().zip(&told) {
        for (row, (_, _, figure)) in rows.iter_mut().zip(MEASURES) {
            let micros =
                |run: &Result<Told, String>| run.clone().map(|told| figure(&told) as f64 / 1e3);
            row.cells.insert(
                peer.name.clone(),
                Cell::from_runs(told.iter().map(micros).collect()),
            );
        }
    }
    rows.iter_mut()
        .for_each(|row| row.not_best.push(THREADLESS.to_owned()));
    let title = format!("Longest calls while {gib} GiB are given back (lower is better)");
    let names = crate::peers::names(&entrants);
    output.print(&row::table(&title, &rows, &names, runs > 2));
    output.print_lines(&row::failures(&rows));
    output.save("stall", &entrants, &rows)
}

/// The peers, and ours without its thread.
fn entrants(peers: &[Peer]) -> Vec<Peer> {
    let mut entrants = peers.to_vec();
    if let Some(at) = entrants.iter().position(|peer| peer.name == JEMOXIDE) {
        let mut threadless = entrants[at].clone();
        threadless.name = THREADLESS.to_owned();
        entrants.insert(at + 1, threadless);
    }
    entrants
}

fn run_once(peer: &Peer, program: &Program) -> Result<Told, String> {
    let mut program = peer.run_on(program.clone());
    if peer.name == THREADLESS {
        program = program.env("MALLOC_CONF", THREADLESS_CONF);
    }
    let run = program.run()?;
    serde_json::from_str(&run.stdout).map_err(|error| format!("it told {:?}: {error}", run.stdout))
}

#[cfg(test)]
mod tests {
    use super::{THREADLESS, entrants, run_once};
    use crate::compile;
    use crate::peers::{self, Workshop};
    use crate::process::Program;

    #[test]
    fn ours_runs_with_and_without_its_thread() {
        let names = ["jemoxide", "glibc"].map(String::from);
        let peers = peers::discover(None, &names, &Workshop::closed()).unwrap();
        let names: Vec<String> = entrants(&peers).into_iter().map(|peer| peer.name).collect();
        assert_eq!(names, ["jemoxide", THREADLESS, "glibc"]);
    }

    #[test]
    fn a_small_heap_is_measured() {
        let names = ["glibc".to_owned()];
        let peers = peers::discover(None, &names, &Workshop::closed()).unwrap();
        let dir = compile::build_dir().unwrap();
        let program = Program::new(compile::c_program("stall", "giving_back", &dir).unwrap());
        let glibc = peers.iter().find(|peer| peer.name == "glibc").unwrap();
        let told = run_once(glibc, &program.arg("1").arg("0.1")).unwrap();
        assert!(
            told.free_worst > 0 && told.beside_worst >= told.beside_rare,
            "{told:?}"
        );
        assert!(told.calm_worst > 0);
    }
}
