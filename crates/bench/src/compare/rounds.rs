//! Rounds: every entrant does every job, in turn, as often as there are rounds.
//!
//! ```text
//! round 1:  job 1: A B C   job 2: A B C  ...
//! round 2:  job 1: B C A   job 2: B C A  ...      a drift of the machine meets all alike
//! ```
//! R1  In one round every entrant does every job once; who begins changes from round to round.
//! R2  All runs of a job must come to the same result; one that differs fails, whatever its time.
//! R3  Who failed once at a job is not asked again: a hang would cost its deadline in every round.
//! R4  For a ratio each time is first divided by the geometric mean of its round at the same job, so that a
//!     round in which the machine was slow weighs as much as any other; then come the medians. On a shared
//!     machine runs stray a quarter less from their median than without it.

use super::job::{Clock, Entrant, Job, Run};
use crate::output::{Output, Progress};
use crate::row::{Cell, Row};
use crate::statistics::geometric_mean;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How much longer the slower allocators take than the jobs' own guess, for the estimate.
const SLOWER: f64 = 1.1;

/// One run in the raw figures.
#[derive(Serialize)]
pub(super) struct Raw {
    kind: &'static str,
    job: String,
    entrant: String,
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

impl Raw {
    pub(super) fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// About how long `rounds` of `jobs` will take.
pub(super) fn estimate(jobs: &[Job], entrants: &[Entrant], rounds: usize) -> Duration {
    let here = entrants.iter().filter(|entrant| entrant.is_here()).count();
    let possible = jobs.iter().filter(|job| job.missing().is_none());
    let one: Duration = possible.map(|job| job.lasts).sum();
    one.mul_f64(SLOWER * here as f64 * rounds as f64)
}

/// Runs all of it. `kind` is told in the raw figures.
pub(super) fn all(
    kind: &'static str,
    jobs: &[Job],
    entrants: &[Entrant],
    rounds: usize,
    output: &Output,
) -> Vec<Raw> {
    let jobs: Vec<&Job> = jobs.iter().filter(|job| job.missing().is_none()).collect();
    let here: Vec<&Entrant> = entrants
        .iter()
        .filter(|entrant| entrant.is_here())
        .collect();
    let progress = Progress::new(output, (rounds * jobs.len() * here.len()) as u64, kind);
    let mut raw = Vec::new();
    let mut gave_up = BTreeSet::new();
    for round in 0..rounds {
        for job in &jobs {
            for turn in 0..here.len() {
                let entrant = here[(turn + round) % here.len()];
                progress.step(&format!("{} on {}", job.name, entrant.name()));
                if gave_up.contains(&(job.name, entrant.name())) {
                    continue;
                }
                let run = job.run(entrant);
                if run.is_err() {
                    gave_up.insert((job.name, entrant.name()));
                }
                raw.push(Raw {
                    kind,
                    job: job.name.to_owned(),
                    entrant: entrant.name().to_owned(),
                    round,
                    outcome: run.map_or_else(Outcome::Failed, Outcome::Run),
                });
            }
        }
    }
    check_results(&mut raw);
    raw
}

/// Fails the runs whose result is not that of most runs of the same job (rule R2).
fn check_results(raw: &mut [Raw]) {
    let mut results = BTreeMap::<(String, String), usize>::new();
    for raw in raw.iter() {
        if let Outcome::Run(run) = &raw.outcome {
            *results
                .entry((raw.job.clone(), run.result.clone()))
                .or_default() += 1;
        }
    }
    for raw in raw {
        let Outcome::Run(run) = &raw.outcome else {
            continue;
        };
        let usual = results
            .iter()
            .filter(|((job, _), _)| *job == raw.job)
            .max_by_key(|(_, count)| **count);
        if let Some(((_, usual), _)) = usual {
            if *usual != run.result {
                let reason = format!("its result is {}, that of others {usual}", run.result);
                raw.outcome = Outcome::Failed(reason);
            }
        }
    }
}

/// One row a job: milliseconds of the clock asked for, or of the job's own.
pub(super) fn times(jobs: &[Job], raw: &[Raw], clock: Clock) -> Vec<Row> {
    let title = |job: &Job| match job.clock {
        Some(own) if own != clock => format!("{} (cpu)", job.name),
        _ => job.name.to_owned(),
    };
    rows(jobs, raw, title, |job, run| {
        run.milliseconds(job.clock.unwrap_or(clock))
    })
}

/// The same rows with every time over the mean of its round (rule R4).
pub(super) fn times_over_rounds(jobs: &[Job], raw: &[Raw], clock: Clock) -> Vec<Row> {
    let mut rows = times(jobs, raw, clock);
    for row in &mut rows {
        let mut runs: Vec<&mut Vec<f64>> = row
            .cells
            .values_mut()
            .filter_map(|cell| match cell {
                Cell::Values(values) => Some(values),
                Cell::Missing | Cell::Failed(_) => None,
            })
            .collect();
        let rounds = runs.iter().map(|runs| runs.len()).min().unwrap_or(0);
        for round in 0..rounds {
            let times: Vec<f64> = runs.iter().map(|runs| runs[round]).collect();
            if let Some(mean) = geometric_mean(&times) {
                runs.iter_mut().for_each(|runs| runs[round] /= mean);
            }
        }
    }
    rows
}

/// One row a job: MiB at the peak.
pub(super) fn sizes(jobs: &[Job], raw: &[Raw]) -> Vec<Row> {
    rows(
        jobs,
        raw,
        |job| job.name.to_owned(),
        |_, run| run.peak_rss_kib as f64 / 1024.0,
    )
}

fn rows(
    jobs: &[Job],
    raw: &[Raw],
    title: impl Fn(&Job) -> String,
    figure: impl Fn(&Job, &Run) -> f64,
) -> Vec<Row> {
    let row = |job: &Job| {
        let mut runs = BTreeMap::<&str, Vec<Result<f64, String>>>::new();
        for raw in raw.iter().filter(|raw| raw.job == job.name) {
            runs.entry(&raw.entrant)
                .or_default()
                .push(match &raw.outcome {
                    Outcome::Run(run) => Ok(figure(job, run)),
                    Outcome::Failed(reason) => Err(reason.clone()),
                });
        }
        let mut row = Row::new(job.name, &title(job), 0);
        let cells = runs
            .into_iter()
            .map(|(entrant, runs)| (entrant.to_owned(), Cell::from_runs(runs)));
        row.cells = cells.collect();
        row
    };
    jobs.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Raw, check_results, times, times_over_rounds};
    use crate::compare::job::{Clock, Group, Job, Run};
    use crate::row::Cell;

    fn raw(entrant: &str, wall_ns: u64, result: &str) -> Raw {
        Raw {
            kind: "k",
            job: "w".into(),
            entrant: entrant.into(),
            round: 0,
            outcome: Outcome::Run(Run {
                wall_ns,
                cpu_ns: 7_000_000,
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
        assert!(!all[0].failed() && !all[1].failed());
        assert!(all[2].failed());
        let jobs = [Job::for_test("w", Group::Workload)];
        let rows = times(&jobs, &all, Clock::Wall);
        assert!(matches!(rows[0].cells["c"], Cell::Failed(_)));
    }

    #[test]
    fn a_job_with_a_clock_of_its_own_keeps_it_and_says_so() {
        let mut jobs = [Job::for_test("w", Group::Program)];
        jobs[0].clock = Some(Clock::Cpu);
        let rows = times(&jobs, &[raw("a", 1, "x")], Clock::Wall);
        assert_eq!(rows[0].cells["a"].median(), Some(7.0));
        assert_eq!((&*rows[0].key, &*rows[0].title), ("w", "w (cpu)"));
        assert_eq!(times(&jobs, &[], Clock::Cpu)[0].title, "w");
    }

    #[test]
    fn a_slow_round_weighs_as_much_as_any_other() {
        let run = |entrant, round, wall_ns| Raw {
            round,
            ..raw(entrant, wall_ns, "x")
        };
        // `a` always takes twice as long as `b`; the machine is ten times slower in the second round.
        let all = [
            run("a", 0, 200),
            run("b", 0, 100),
            run("a", 1, 2000),
            run("b", 1, 1000),
            run("a", 2, 200),
            run("b", 2, 100),
        ];
        let jobs = [Job::for_test("w", Group::Workload)];
        let row = times_over_rounds(&jobs, &all, Clock::Wall).remove(0);
        let Cell::Values(values) = &row.over("b").cells["a"] else {
            panic!("no values");
        };
        assert!(values.iter().all(|value| (value - 2.0).abs() < 1e-9));
    }
}
