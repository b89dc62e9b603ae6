//! Compare: whole workloads timed under every allocator, in turn.
//!
//! ```text
//! round 1:  workload 1: A B C   workload 2: A B C  ...
//! round 2:  workload 1: B C A   workload 2: B C A  ...      a drift of the machine meets all alike
//! ```
//! R1  In one round every allocator does every workload once; who begins changes from round to round.
//! R2  All runs of a workload must tell the same checksum; one that differs fails, whatever its time.
//! R3  A ratio is median over the best peer's median of the same workload, same rounds.

mod chart;
mod programs;

use crate::output::{Output, Progress};
use crate::peers::Peer;
use crate::row::{self, Cell, Row};
use crate::statistics::geometric_mean;
use clap::{Args, ValueEnum};
use programs::{Job, Run};
use serde::Serialize;

/// Rounds, and rounds of `--quick`.
const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 3;

/// Part of the full amount that `--quick` does.
const QUICK: u64 = 8;

/// Which runs to make, and which of their figures to print.
#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// Rounds of all workloads under all allocators [default: 5; quick: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Only workloads whose name contains one of these
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// What the ratios are made of
    #[arg(long, value_enum, default_value = "wall")]
    clock: Clock,
}

/// What is compared; the raw figures have both.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Clock {
    /// Time on the wall
    Wall,
    /// Processor time of all threads: steadier on a busy machine, blind to waiting
    Cpu,
}

/// One run in the raw figures.
#[derive(Serialize)]
struct Raw {
    workload: String,
    peer: String,
    round: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Run(Run),
    Failed(String),
}

/// Keys of all rows.
#[cfg(test)]
pub(crate) fn keys() -> Vec<&'static str> {
    let workloads = crate::workload::WORKLOADS
        .iter()
        .map(|workload| workload.name);
    let real = programs::REAL.iter().map(|real| real.name);
    workloads
        .chain(real)
        .chain(["time_mean", "rss_mean"])
        .collect()
}

/// Runs everything and prints the tables.
pub(crate) fn run(peers: &[Peer], output: &Output, plan: &Plan, quick: bool) -> Result<(), String> {
    let (mut jobs, missing) = programs::all(if quick { QUICK } else { 1 })?;
    let wanted =
        |name: &str| plan.only.is_empty() || plan.only.iter().any(|only| name.contains(only));
    jobs.retain(|job| wanted(job.name));
    output.print_lines(&missing);
    if jobs.is_empty() {
        return Err("no workload has such a name".to_owned());
    }
    let rounds = plan
        .rounds
        .unwrap_or(if quick { ROUNDS_QUICK } else { ROUNDS });
    let raw = all_rounds(&jobs, peers, rounds, output);

    let names = crate::peers::names(peers);
    let times = rows(&jobs, &raw, |run| match plan.clock {
        Clock::Wall => run.wall_ns as f64 / 1e6,
        Clock::Cpu => run.cpu_ns as f64 / 1e6,
    });
    let sizes = rows(&jobs, &raw, |run| run.peak_rss_kib as f64 / 1024.0);
    let clock = if plan.clock == Clock::Wall {
        "wall"
    } else {
        "processor"
    };
    let title = format!(
        "Median {clock} time in ms and half-width of the middle half of {rounds} runs in percent"
    );
    output.print(&row::table(&title, &without_goals(&times), &names, true));

    let mut ratios: Vec<Row> = times.iter().map(Row::over_best_peer).collect();
    ratios.push(mean("time_mean", "geometric mean", &ratios, &names));
    output.print(&row::table(
        "Time, best peer = 1.00 (lower is better)",
        &ratios,
        &names,
        false,
    ));

    let file = output.file("compare.svg")?;
    chart::draw(&ratios, &names, &file)?;

    let mut size_ratios: Vec<Row> = sizes.iter().map(Row::over_best_peer).collect();
    let size_mean = mean("rss_mean", "geometric mean", &size_ratios, &names);
    // The goals of the workloads' rows are about time.
    size_ratios = without_goals(&size_ratios);
    size_ratios.push(size_mean);
    output.print(&row::table(
        "Peak RSS, best peer = 1.00 (lower is better)",
        &size_ratios,
        &names,
        false,
    ));
    output.print_lines(&row::failures(&times));
    output.save("compare", peers, &raw)?;
    println!("chart: {}", crate::output::display(&file));
    if raw
        .iter()
        .any(|raw| matches!(raw.outcome, Outcome::Failed(_)))
    {
        return Err("some runs failed".to_owned());
    }
    Ok(())
}

fn all_rounds(jobs: &[Job], peers: &[Peer], rounds: usize, output: &Output) -> Vec<Raw> {
    let here: Vec<&Peer> = peers.iter().filter(|peer| peer.is_here()).collect();
    let progress = Progress::new(output, (rounds * jobs.len() * here.len()) as u64, "compare");
    let mut raw = Vec::new();
    for round in 0..rounds {
        for job in jobs {
            for turn in 0..here.len() {
                let peer = here[(turn + round) % here.len()];
                progress.step(&format!("{} on {}", job.name, peer.name));
                raw.push(Raw {
                    workload: job.name.to_owned(),
                    peer: peer.name.clone(),
                    round,
                    outcome: job.run(peer).map_or_else(Outcome::Failed, Outcome::Run),
                });
            }
        }
    }
    check_results(&mut raw);
    raw
}

/// Fails the runs whose result is not that of most runs of the same workload (rule R2).
fn check_results(raw: &mut [Raw]) {
    let mut results = std::collections::BTreeMap::<(String, String), usize>::new();
    for raw in raw.iter() {
        if let Outcome::Run(run) = &raw.outcome {
            *results
                .entry((raw.workload.clone(), run.result.clone()))
                .or_default() += 1;
        }
    }
    for raw in raw {
        let Outcome::Run(run) = &raw.outcome else {
            continue;
        };
        let usual = results
            .iter()
            .filter(|((workload, _), _)| *workload == raw.workload)
            .max_by_key(|(_, count)| **count);
        if let Some(((_, usual), _)) = usual {
            if *usual != run.result {
                let reason = format!("its result is {}, that of others {usual}", run.result);
                raw.outcome = Outcome::Failed(reason);
            }
        }
    }
}

/// One row a workload, from one figure of its runs.
fn rows(jobs: &[Job], raw: &[Raw], figure: impl Fn(&Run) -> f64) -> Vec<Row> {
    jobs.iter()
        .map(|job| {
            let mut row = Row::new(job.name, job.name, 0);
            let mut runs = std::collections::BTreeMap::<&str, Vec<Result<f64, String>>>::new();
            for raw in raw.iter().filter(|raw| raw.workload == job.name) {
                runs.entry(&raw.peer).or_default().push(match &raw.outcome {
                    Outcome::Run(run) => Ok(figure(run)),
                    Outcome::Failed(reason) => Err(reason.clone()),
                });
            }
            for (peer, runs) in runs {
                row.cells.insert(peer.to_owned(), Cell::from_runs(runs));
            }
            row
        })
        .collect()
}

/// The geometric mean over all rows, for each allocator that has a figure in every one of them.
fn mean(key: &str, title: &str, ratios: &[Row], names: &[String]) -> Row {
    let mut row = Row::new(key, title, 2);
    for name in names {
        let figures: Option<Vec<f64>> = ratios
            .iter()
            .map(|ratio| ratio.cells.get(name).and_then(Cell::median))
            .collect();
        let mean = figures.and_then(|figures| geometric_mean(&figures));
        let cell = mean.map_or(Cell::Missing, |mean| Cell::Values(vec![mean]));
        row.cells.insert(name.clone(), cell);
    }
    row
}

/// The same rows under keys that no goal has.
fn without_goals(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.iter_mut()
        .for_each(|row| row.key = format!("figure of {}", row.key));
    rows
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Raw, check_results, mean, rows};
    use crate::compare::programs::{Job, Run};
    use crate::row::Cell;

    fn raw(peer: &str, wall_ns: u64, result: &str) -> Raw {
        Raw {
            workload: "w".into(),
            peer: peer.into(),
            round: 0,
            outcome: Outcome::Run(Run {
                wall_ns,
                cpu_ns: wall_ns,
                peak_rss_kib: 1,
                result: result.into(),
                parts: Default::default(),
            }),
        }
    }

    #[test]
    fn a_run_with_another_result_fails() {
        let mut all = vec![raw("a", 1, "x"), raw("b", 2, "x"), raw("c", 1, "y")];
        check_results(&mut all);
        assert!(matches!(all[0].outcome, Outcome::Run(_)));
        assert!(matches!(all[1].outcome, Outcome::Run(_)));
        assert!(matches!(all[2].outcome, Outcome::Failed(_)));
        let jobs = [Job::for_test("w")];
        let rows = rows(&jobs, &all, |run| run.wall_ns as f64);
        assert!(matches!(rows[0].cells["c"], Cell::Failed(_)));
    }

    #[test]
    fn the_mean_is_over_ratios_and_needs_every_row() {
        let jobs = [Job::for_test("w")];
        let runs = [
            raw("a", 10, "x"),
            raw("b", 40, "x"),
            raw("a", 20, "x"),
            raw("a", 30, "x"),
        ];
        let ratios = [rows(&jobs, &runs, |run| run.wall_ns as f64)[0].over_best_peer()];
        let names = ["a", "b", "c"].map(String::from);
        let mean = mean("k", "t", &ratios, &names);
        assert_eq!(mean.cells["a"].median(), Some(1.0));
        assert_eq!(mean.cells["b"].median(), Some(2.0));
        assert_eq!(mean.cells["c"].median(), None);
    }
}
