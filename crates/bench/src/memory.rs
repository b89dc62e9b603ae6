//! Memory: what programs cost while they run, and what they give back when they idle.
//!
//! Small programs in C do the allocating; `/bin/true` shows what the allocator costs a program that
//! hardly allocates. All peers of a row run side by side: what is measured is each process's own size,
//! which the neighbours do not change.
//!
//! M1  Sizes are counted page by page from the process's own map. The one exception says so: the first
//!     two rows are what a small parent is told at the exit, because that is what the goals count.
//! M2  Between `ready` and the look the program makes no call.

mod idle;
mod report_file;

use crate::compile;
use crate::output::{Output, Progress};
use crate::peers::{GLIBC, JEMOXIDE, Peer};
use crate::process::Program;
use crate::row::{self, Cell, Row};
use idle::Seen;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program that hardly allocates, and how often it runs.
const TRUE: &str = "/bin/true";
const TRUE_RUNS: usize = 11;

/// Keys of all rows.
#[cfg(test)]
pub(crate) const KEYS: &[&str] = &[
    "true_rss_kib",
    "true_faults",
    "true_pages_kib",
    "idle_threads_mib",
    "all_freed_mib",
    "mostly_freed_ratio",
    "mostly_freed_peak",
    "metadata_percent",
];

/// A C program that idles: name, number of threads or objects, and how long it is left alone.
struct Idler {
    name: &'static str,
    count: u64,
    idle: Duration,
}

const IDLERS: &[Idler] = &[
    idler("idle_threads", 1000, 2),
    idler("all_freed", 1_000_000, 12),
    idler("mostly_freed", 1_200_000, 10),
];

const fn idler(name: &'static str, count: u64, seconds: u64) -> Idler {
    Idler {
        name,
        count,
        idle: Duration::from_secs(seconds),
    }
}

/// One run of one peer.
type Look = Result<Seen, String>;

/// Measures and prints the table. `runs`: of each idle program.
pub(crate) fn run(peers: &[Peer], output: &Output, runs: usize) -> Result<(), String> {
    let dir = compile::build_dir()?;
    let here: Vec<&Peer> = peers.iter().filter(|peer| peer.is_here()).collect();
    let progress = Progress::new(output, (IDLERS.len() * runs + TRUE_RUNS) as u64, "memory");
    let mut rows = true_rows(&here, &dir, &progress)?;
    let mut looks = Vec::new();
    for idler in IDLERS {
        looks.push(idle_runs(idler, &here, runs, &dir, &progress)?);
    }
    drop(progress);
    let mib = |seen: &Seen| Some(seen.rss_kib as f64 / 1024.0);
    let over_live = |seen: &Seen| Some(seen.rss_kib as f64 * 1024.0 / seen.live as f64);
    let over_requested = |seen: &Seen| Some(seen.peak_kib as f64 * 1024.0 / seen.requested as f64);
    rows.push(row_of(
        "idle_threads_mib",
        "1000 idle threads, RSS MiB",
        0,
        &here,
        &looks[0],
        mib,
    ));
    rows.push(row_of(
        "all_freed_mib",
        "1M objects freed, 12 s: RSS MiB",
        1,
        &here,
        &looks[1],
        mib,
    ));
    rows.push(row_of(
        "mostly_freed_ratio",
        "90 % of 1.2M freed, 10 s: RSS/live",
        2,
        &here,
        &looks[2],
        over_live,
    ));
    rows.push(row_of(
        "mostly_freed_peak",
        "same, peak RSS/requested",
        3,
        &here,
        &looks[2],
        over_requested,
    ));
    let metadata = |seen: &Seen| Some(seen.books?.metadata_percent());
    rows.push(row_of(
        "metadata_percent",
        "same, own metadata/mapped, %",
        2,
        &here,
        &looks[2],
        metadata,
    ));

    output.print(&row::table(
        "Memory (lower is better)",
        &rows,
        &crate::peers::names(peers),
        false,
    ));
    output.print_lines(&row::failures(&rows));
    output.save("memory", peers, &rows)
}

/// What a program that hardly allocates costs.
///
/// What a parent is told is coarse: the kernel's counter is short by what each processor has not yet
/// handed in, and starts with what the child had before its exec. The third row is the exact size.
fn true_rows(peers: &[&Peer], dir: &Path, progress: &Progress) -> Result<Vec<Row>, String> {
    let launch = compile::c_program("memory", "launch", dir)?;
    let mut told = vec![Vec::new(); peers.len()];
    let mut exact = vec![Vec::new(); peers.len()];
    for _ in 0..TRUE_RUNS {
        for (index, peer) in peers.iter().enumerate() {
            let mut program = Program::new(&launch).arg(TRUE);
            if let Some(library) = &peer.library {
                program = program.arg(library);
            }
            told[index].push(program.run().and_then(|run| parse_launch(&run.stdout)));
            let run = peer.run_on(Program::new(TRUE)).run();
            exact[index].push(run.map(|run| run.exit_rss_kib as f64));
        }
        progress.step(TRUE);
    }
    let mut rows = vec![
        Row::new("true_rss_kib", "/bin/true, RSS KiB", 0),
        Row::new("true_faults", "/bin/true, page faults", 0),
        Row::new("true_pages_kib", "/bin/true, pages at exit KiB", 0),
    ];
    for (peer, (told, exact)) in peers.iter().zip(told.into_iter().zip(exact)) {
        let half = |pick: fn((f64, f64)) -> f64| {
            Cell::from_runs(told.iter().cloned().map(|run| run.map(pick)).collect())
        };
        let cells = [half(|run| run.0), half(|run| run.1), Cell::from_runs(exact)];
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.cells.insert(peer.name.clone(), cell);
        }
    }
    // Nothing is preloaded for it: a library of its own cannot cost less than none.
    rows.iter_mut()
        .for_each(|row| row.not_best.push(GLIBC.to_owned()));
    Ok(rows)
}

/// The two numbers that `launch` prints: KiB and faults.
fn parse_launch(text: &str) -> Result<(f64, f64), String> {
    let numbers = text
        .trim()
        .split_once(' ')
        .and_then(|(kib, faults)| Some((kib.parse().ok()?, faults.parse().ok()?)));
    numbers.ok_or_else(|| format!("launch told {text:?}"))
}

/// All runs of one idle program, by peer.
fn idle_runs(
    idler: &Idler,
    peers: &[&Peer],
    runs: usize,
    dir: &Path,
    progress: &Progress,
) -> Result<Vec<Vec<Look>>, String> {
    let program = compile::c_program("memory", idler.name, dir)?;
    let reports = Reports::new(dir)?;
    let mut looks: Vec<Vec<Look>> = vec![Vec::new(); peers.len()];
    for _ in 0..runs {
        std::thread::scope(|scope| {
            let running: Vec<_> = peers
                .iter()
                .map(|peer| {
                    let program = Program::new(&program).arg(idler.count.to_string());
                    let mut program = peer.run_on(program);
                    if peer.name == JEMOXIDE {
                        program = program.env("JEMOXIDE_CONF", reports.option());
                    }
                    let books = (peer.name == JEMOXIDE).then_some(reports.dir.as_path());
                    scope.spawn(move || idle::watch(&program, idler.idle, books))
                })
                .collect();
            for (run, looks) in running.into_iter().zip(&mut looks) {
                let lost = || Err("the watching thread was lost".to_owned());
                looks.push(run.join().unwrap_or_else(|_| lost()));
            }
        });
        progress.step(idler.name);
    }
    Ok(looks)
}

/// A folder for the allocator's reports, removed at the end.
struct Reports {
    dir: PathBuf,
}

impl Reports {
    fn new(parent: &Path) -> Result<Self, String> {
        let dir = parent.join(format!("reports-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { dir })
    }

    fn option(&self) -> String {
        format!("report_dir:{}", self.dir.display())
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // What is left over lies in the target folder.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A row from the looks; a look that has no such figure (`None`) leaves the cell missing.
fn row_of(
    key: &str,
    title: &str,
    decimals: usize,
    peers: &[&Peer],
    looks: &[Vec<Look>],
    figure: impl Fn(&Seen) -> Option<f64>,
) -> Row {
    let mut row = Row::new(key, title, decimals);
    for (peer, looks) in peers.iter().zip(looks) {
        let values = looks.iter().filter_map(|look| match look {
            Ok(seen) => figure(seen).map(Ok),
            Err(reason) => Some(Err(reason.clone())),
        });
        row.cells
            .insert(peer.name.clone(), Cell::from_runs(values.collect()));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::{IDLERS, idle, parse_launch, row_of};
    use crate::compile;
    use crate::peers;
    use crate::process::Program;
    use std::time::Duration;

    #[test]
    fn every_idle_program_compiles_and_gets_ready() {
        let dir = compile::build_dir().unwrap();
        for idler in IDLERS {
            let program = match compile::c_program("memory", idler.name, &dir) {
                Err(error) if error.contains("cannot run") => {
                    println!("NOT TESTED: {error}");
                    return;
                }
                program => program.unwrap(),
            };
            let program = Program::new(program).arg("40");
            let seen = idle::watch(&program, Duration::ZERO, None).unwrap();
            assert!(seen.rss_kib > 100 && seen.peak_kib >= seen.rss_kib);
            assert!(seen.live <= seen.requested);
        }
    }

    #[test]
    fn the_launcher_tells_two_numbers() {
        let dir = compile::build_dir().unwrap();
        let program = match compile::c_program("memory", "launch", &dir) {
            Err(error) if error.contains("cannot run") => {
                println!("NOT TESTED: {error}");
                return;
            }
            program => program.unwrap(),
        };
        let told = Program::new(&program).arg(super::TRUE).run().unwrap();
        let (kib, faults) = parse_launch(&told.stdout).unwrap();
        assert!(kib > 100.0 && kib < 16_000.0 && faults > 10.0);
        assert!(Program::new(program).arg("/nonexistent").run().is_err());
        assert!(parse_launch("").is_err());
    }

    #[test]
    fn a_figure_nobody_keeps_is_missing() {
        let peers = peers::discover(None, &["glibc".into()], &peers::Workshop::closed()).unwrap();
        let peers: Vec<_> = peers.iter().collect();
        let row = row_of("k", "t", 0, &peers, &[vec![]], |_| None);
        assert_eq!(row.cells["glibc"].median(), None);
    }
}
