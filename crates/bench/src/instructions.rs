//! Instructions: how many a single operation takes, counted by callgrind.
//!
//! Each operation program runs twice, with two lengths; the slope between the two counts is the cost of
//! one operation with start, warm-up and exit cancelled out. Loop and PLT are in the figure.
//!
//! ```text
//! count |        o long             slope = (count(long) - count(short)) / (long - short)
//!       |   o short
//!       +------------- operations
//! ```
//! I1  Both lengths are beyond the warm-up: the caches have reached their final size.
//! I2  The count repeats from run to run, so one slope a program suffices.

use crate::compile;
use crate::output::{Output, Progress};
use crate::peers::Peer;
use crate::process::Program;
use crate::row::{self, Cell, Row};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Run lengths (rule I1); multiples of every program's round.
const SHORT: u64 = 192_000;
const LONG: u64 = 448_000;
const SHORT_QUICK: u64 = 64_000;
const LONG_QUICK: u64 = 128_000;

/// Key of the row that is a Rust program.
const RUST_BOX: &str = "rust_box";

/// Keys of the C programs (file names without the ending) and their titles.
const OPERATIONS: &[(&str, &str)] = &[
    ("ping_pong", "malloc(64)+free"),
    ("random_live", "random 16..1040, 256 live"),
    ("burst", "1000 x malloc(48), 1000 x free"),
    ("zeroed", "calloc(1,64)+free"),
    ("grow", "realloc 16..1024, a step"),
    ("large", "malloc(100k..340k)+free"),
];

/// Keys of all rows.
#[cfg(test)]
pub(crate) const KEYS: &[&str] = &[
    "ping_pong",
    "random_live",
    "burst",
    "zeroed",
    "grow",
    "large",
    RUST_BOX,
];

/// Jobs at a time: callgrind counts the same whatever else runs.
const WORKERS: usize = 2;

struct Job<'a> {
    row: usize,
    peer: &'a Peer,
    program: Result<PathBuf, String>,
}

/// Measures and prints the table.
pub(crate) fn run(peers: &[Peer], output: &Output, quick: bool) -> Result<(), String> {
    let dir = compile::build_dir()?;
    check_valgrind()?;
    let (short, long) = if quick {
        (SHORT_QUICK, LONG_QUICK)
    } else {
        (SHORT, LONG)
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for &(key, title) in OPERATIONS {
        let program = compile::c_program("operations", key, &dir)?;
        let row = rows.len();
        rows.push(Row::new(key, title, 0));
        jobs.extend(peers.iter().filter(|peer| peer.is_here()).map(|peer| Job {
            row,
            peer,
            program: Ok(program.clone()),
        }));
    }
    jobs.extend(rust_jobs(peers, rows.len(), &dir));
    rows.push(Row::new(RUST_BOX, "Box::new + drop, Rust with LTO", 0));

    for (row, name, cell) in measure_all(jobs, short, long, output) {
        rows[row].cells.insert(name, cell);
    }
    let title =
        "Instructions per operation (callgrind; slope; loop and PLT included; lower is better)";
    output.print(&row::table(
        title,
        &rows,
        &crate::peers::names(peers),
        false,
    ));
    output.print_lines(&row::failures(&rows));
    output.save("instructions", peers, &rows)
}

/// The Rust row: jemoxide is the crate itself, linked in; the others are preloaded under a program on
/// the system's allocator.
fn rust_jobs<'a>(peers: &'a [Peer], row: usize, dir: &Path) -> Vec<Job<'a>> {
    let system = compile::rust_program(false, dir);
    peers
        .iter()
        .filter(|peer| peer.is_here())
        .map(|peer| Job {
            row,
            peer,
            program: if peer.is_ours() {
                compile::rust_program(true, dir)
            } else {
                system.clone()
            },
        })
        .collect()
}

fn measure_all(
    jobs: Vec<Job<'_>>,
    short: u64,
    long: u64,
    output: &Output,
) -> Vec<(usize, String, Cell)> {
    let progress = Progress::new(output, jobs.len() as u64, "callgrind");
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let cell = measure(job, short, long);
                    progress.step(&job.peer.name);
                    if let Ok(mut done) = done.lock() {
                        done.push((job.row, job.peer.name.clone(), cell));
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}

fn measure(job: &Job<'_>, short: u64, long: u64) -> Cell {
    let slope = job.program.clone().and_then(|program| {
        // The Rust program carries jemoxide inside; preloading it as well would measure the other door.
        let inside = job.peer.is_ours() && program.ends_with("jemoxide-rust-box");
        let count = |operations: u64| {
            let run = callgrind(&program, operations);
            let run = if inside {
                job.peer.configure(run)
            } else {
                job.peer.run_on(run)
            };
            collected(&run.run()?.stderr).ok_or_else(|| "callgrind told no count".to_owned())
        };
        let (few, many) = (count(short)?, count(long)?);
        Ok((many as f64 - few as f64) / (long - short) as f64)
    });
    Cell::from_runs(vec![slope])
}

fn callgrind(program: &Path, operations: u64) -> Program {
    Program::new("valgrind")
        .arg("--tool=callgrind")
        // Valgrind has one lock for all threads; without turns the purge thread starves, and callers do its work.
        .arg("--fair-sched=try")
        .arg("--callgrind-out-file=/dev/null")
        .arg(program)
        .arg(operations.to_string())
        .deadline(Duration::from_secs(300))
}

/// The total of the line `==pid== Collected : total`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn check_valgrind() -> Result<(), String> {
    Program::new("valgrind")
        .arg("--version")
        .run()
        .map(|_| ())
        .map_err(|error| format!("this table needs valgrind ({error})"))
}

#[cfg(test)]
mod tests {
    use super::{KEYS, OPERATIONS, RUST_BOX, callgrind, collected};
    use crate::compile;
    use crate::process::Program;

    #[test]
    fn keys_are_those_of_the_rows() {
        let mut keys: Vec<&str> = OPERATIONS.iter().map(|operation| operation.0).collect();
        keys.push(RUST_BOX);
        assert_eq!(keys, KEYS);
    }

    #[test]
    fn the_total_is_read() {
        let text = "==1== Events    : Ir\n==1== Collected : 123456\n==1==\n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("==1== Events : Ir"), None);
    }

    #[test]
    fn every_operation_program_compiles_and_runs() {
        let dir = compile::build_dir().unwrap();
        for (key, _) in OPERATIONS {
            let program = match compile::c_program("operations", key, &dir) {
                Err(error) if error.contains("cannot run") => {
                    println!("NOT TESTED: {error}");
                    return;
                }
                program => program.unwrap(),
            };
            Program::new(program).arg("2048").run().unwrap();
        }
    }

    #[test]
    fn a_longer_run_counts_more() {
        let dir = compile::build_dir().unwrap().join("slope");
        std::fs::create_dir_all(&dir).unwrap();
        let (Ok(program), Ok(_)) = (
            compile::c_program("operations", "ping_pong", &dir),
            super::check_valgrind(),
        ) else {
            println!("NOT TESTED: no C compiler or no valgrind");
            return;
        };
        let count = |operations| collected(&callgrind(&program, operations).run().unwrap().stderr);
        let (few, many) = (count(1000).unwrap(), count(3000).unwrap());
        // A pair takes more than its own loop of 8 and less than a thousand.
        let slope = (many - few) as f64 / 2000.0;
        assert!(slope > 8.0 && slope < 1000.0, "{slope}");
    }
}
