//! Compare: whole workloads and real programs timed under every allocator, in turn.
//!
//! Two comparisons with tables of their own: programs under preloaded libraries, and Rust binaries that have
//! their allocator built in.
//!
//! ```text
//! jobs x entrants x rounds  ->  raw runs  ->  one row a job: medians  ->  ratios  ->  means, chart
//! ```
//! A ratio is median over the best peer's median of the same job, same rounds.

mod chart;
mod job;
mod means;
mod programs;
mod rounds;

use crate::output::{Output, display};
use crate::peers::{Peer, RustBuild};
use crate::row::{self, Row};
use clap::{Args, ValueEnum};
use job::{Clock, Entrant, Group, Job};
use rounds::Raw;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Rounds, and rounds of `--quick`.
const ROUNDS: usize = 15;
const ROUNDS_QUICK: usize = 3;

/// The full amount is divided by this, and by this for `--quick`. Short runs often say more than long ones
/// now and then: eleven times the same program of 60 ms on a machine shared with others came out within
/// 3 % of each other (standard deviation) after 36 rounds, within 4-5 % after 9 to 18.
const PART: u64 = 4;
const PART_QUICK: u64 = 8;

/// Which runs to make, and which of their figures to print.
#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// Rounds of all jobs under all allocators [default: 15; quick: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Only workloads and programs whose name contains one of these
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Which comparison
    #[arg(long, value_enum, default_value = "all")]
    kind: Kind,
    /// What the ratios are made of
    #[arg(long, value_enum, default_value = "wall")]
    clock: Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kind {
    /// Workloads and real programs, each allocator preloaded
    Preload,
    /// Workloads as Rust binaries, each allocator built in
    Rust,
    /// Both, one after the other
    All,
}

/// One of the two comparisons.
struct Comparison {
    /// Name in the raw figures and of the chart.
    kind: &'static str,
    title: &'static str,
    jobs: Vec<Job>,
    entrants: Vec<Entrant>,
}

/// Raw runs, with the binaries that some of them were made of.
#[derive(Serialize)]
struct Figures<'a> {
    rust_builds: &'a [RustBuild],
    runs: Vec<Raw>,
}

impl Plan {
    /// Whether Rust binaries are needed.
    pub(crate) fn has_rust(&self) -> bool {
        self.kind != Kind::Preload
    }
}

/// Keys of all rows.
#[cfg(test)]
pub(crate) fn keys() -> Vec<&'static str> {
    let workloads = jemoxide_workloads::WORKLOADS
        .iter()
        .map(|workload| workload.name);
    let real = programs::REAL.iter().map(|real| real.name);
    workloads
        .chain(real)
        .chain([means::TIME, means::SIZE])
        .collect()
}

/// One line a workload and a real program.
pub(crate) fn list() -> String {
    let workloads = jemoxide_workloads::WORKLOADS
        .iter()
        .map(|workload| (workload.name, workload.about));
    let real = programs::REAL.iter().map(|real| (real.name, real.about));
    let lines = workloads
        .chain(real)
        .map(|(name, about)| format!("{name:<20} {about}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs everything and prints the tables.
pub(crate) fn run(
    peers: &[Peer],
    builds: &[RustBuild],
    output: &Output,
    plan: &Plan,
    quick: bool,
) -> Result<(), String> {
    let part = if quick { PART_QUICK } else { PART };
    let rounds = plan
        .rounds
        .unwrap_or(if quick { ROUNDS_QUICK } else { ROUNDS });
    let ground = Ground::new();
    let comparisons = comparisons(peers, builds, plan, part, &ground)?;
    let missing = comparisons
        .iter()
        .flat_map(|comparison| &comparison.jobs)
        .filter_map(|job| Some(format!("MISSING: {}: {}", job.name, job.missing()?)));
    output.print_lines(&missing.collect::<Vec<_>>());
    let estimates = comparisons
        .iter()
        .map(|c| rounds::estimate(&c.jobs, &c.entrants, rounds));
    println!("{}\n", about(rounds, estimates.sum()));

    let mut figures = Figures {
        rust_builds: builds,
        runs: Vec::new(),
    };
    for comparison in &comparisons {
        let runs = rounds::all(
            comparison.kind,
            &comparison.jobs,
            &comparison.entrants,
            rounds,
            output,
        );
        comparison.report(&runs, plan.clock, rounds, output)?;
        figures.runs.extend(runs);
    }
    output.save("compare", peers, &figures)?;
    if figures.runs.iter().any(Raw::failed) {
        return Err("some runs failed".to_owned());
    }
    Ok(())
}

fn comparisons(
    peers: &[Peer],
    builds: &[RustBuild],
    plan: &Plan,
    part: u64,
    ground: &Ground,
) -> Result<Vec<Comparison>, String> {
    let wanted =
        |name: &str| plan.only.is_empty() || plan.only.iter().any(|only| name.contains(only));
    let workloads = || {
        let mut jobs = job::workloads(part);
        jobs.retain(|job| wanted(job.name));
        jobs
    };
    let mut comparisons = Vec::new();
    if plan.kind != Kind::Rust {
        let mut jobs = workloads();
        jobs.extend(job::programs(part, &ground.0, wanted));
        comparisons.push(Comparison {
            kind: "preload",
            title: "preloaded libraries",
            jobs,
            entrants: peers.iter().cloned().map(Entrant::Preloaded).collect(),
        });
    }
    if plan.has_rust() {
        comparisons.push(Comparison {
            kind: RUST,
            title: "Rust binaries",
            jobs: workloads(),
            entrants: builds.iter().cloned().map(Entrant::BuiltIn).collect(),
        });
    }
    comparisons.retain(|comparison| !comparison.jobs.is_empty());
    if comparisons.is_empty() {
        return Err("no workload has such a name".to_owned());
    }
    Ok(comparisons)
}

fn about(rounds: usize, estimate: Duration) -> String {
    let seconds = estimate.as_secs();
    if seconds < 90 {
        format!("{rounds} rounds, about {seconds} s")
    } else {
        format!("{rounds} rounds, about {} minutes", (seconds + 30) / 60)
    }
}

impl Comparison {
    fn report(
        &self,
        raw: &[Raw],
        clock: Clock,
        rounds: usize,
        output: &Output,
    ) -> Result<(), String> {
        let names: Vec<String> = self
            .entrants
            .iter()
            .map(|entrant| entrant.name().to_owned())
            .collect();
        let groups: Vec<Group> = self.jobs.iter().map(|job| job.group).collect();
        let print = |title: String, rows: &[Row], with_spread| {
            output.print(&row::table(&title, rows, &names, with_spread));
        };

        let times = rounds::times(&self.jobs, raw, clock);
        let kind = self.title;
        let which = match clock {
            Clock::Wall => "wall",
            Clock::Cpu => "processor",
        };
        print(
            format!(
                "{kind}: median {which} time in ms, and half-width of the middle half of {rounds} runs in percent"
            ),
            &without_goals(&times),
            true,
        );
        let mut time_ratios: Vec<Row> = rounds::times_over_rounds(&self.jobs, raw, clock)
            .iter()
            .map(Row::over_best_peer)
            .collect();
        let mut time_means = means::below(means::TIME, &time_ratios, &groups, &names);
        let sizes = rounds::sizes(&self.jobs, raw);
        // The goals of the jobs' rows are about time.
        let mut size_ratios: Vec<Row> = sizes.iter().map(Row::over_best_peer).collect();
        let mut size_means = means::below(means::SIZE, &size_ratios, &groups, &names);
        if self.kind == RUST {
            // The goals are about preloaded libraries; what is built in has none.
            for rows in [&mut time_ratios, &mut time_means, &mut size_means] {
                *rows = without_goals(rows);
            }
        }

        let file = output.file(&format!("compare-{}.svg", self.kind))?;
        chart::draw(
            &chart::Picture {
                title: kind,
                names: &names,
                groups: &groups,
                times: &time_ratios,
                time_mean: &time_means[0],
                sizes: &size_ratios,
                size_mean: &size_means[0],
            },
            &file,
        )?;

        time_ratios.extend(time_means);
        print(
            format!("{kind}: time, best peer = 1.00 (lower is better)"),
            &time_ratios,
            false,
        );
        size_ratios = without_goals(&size_ratios);
        size_ratios.extend(size_means);
        print(
            format!("{kind}: peak RSS, best peer = 1.00 (lower is better)"),
            &size_ratios,
            false,
        );
        output.print_lines(&row::failures(&times));
        println!("chart: {}", display(&file));
        Ok(())
    }
}

/// Name of the comparison of Rust binaries.
const RUST: &str = "rust";

/// The same rows under keys that no goal has.
fn without_goals(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.iter_mut()
        .for_each(|row| row.key = format!("figure of {}", row.key));
    rows
}

/// A folder for the files of the real programs, gone at the end. Short, because sockets lie in it.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("jemoxide-compare-{}", std::process::id())))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Nothing was written when no real program was prepared.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
