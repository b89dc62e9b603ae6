//! Job: one thing that every entrant does, and what a run of it came to.
//!
//! ```text
//!               preloaded library            Rust binary
//! workload      this program + preload       the binary          tells its own times
//! program       the program + preload        -                   timed from outside
//! ```
//! J1  A job that can't be done here keeps its row; a line says why.
//! J2  The peak is that of the program that uses the allocator, never of a launcher or of what puts load
//!     to it.

use super::programs::{self, Work};
use crate::peers::{Peer, RustBuild};
use crate::process::Program;
use clap::ValueEnum;
use jemoxide_workloads::{Told, WORKLOADS, Workload};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What one run of a workload takes at its full amount, for the estimate.
const WORKLOAD_LASTS: Duration = Duration::from_millis(430);

/// What is compared; the raw figures have both.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Clock {
    /// Time on the wall
    Wall,
    /// Processor time of all threads: steadier on a busy machine, blind to waiting
    Cpu,
}

/// Where a row stands in tables and chart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Group {
    /// Workloads of this package.
    Workload,
    /// Programs of the machine.
    Program,
}

/// One allocator and the way to run a program on it.
#[derive(Clone, Debug)]
pub(crate) enum Entrant {
    /// A library that is preloaded.
    Preloaded(Peer),
    /// The workloads with the allocator built in.
    BuiltIn(RustBuild),
}

impl Entrant {
    /// Name in the tables.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Preloaded(peer) => &peer.name,
            Self::BuiltIn(build) => &build.name,
        }
    }

    /// Whether it can be measured.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Preloaded(peer) => peer.is_here(),
            Self::BuiltIn(build) => build.missing.is_none(),
        }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) wall_ns: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) peak_rss_kib: u64,
    /// What the program came to; the same in every run.
    pub(crate) result: String,
    pub(crate) parts: BTreeMap<String, u64>,
}

impl Run {
    /// The figure that `clock` shows, in milliseconds.
    pub(crate) fn milliseconds(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Wall => self.wall_ns as f64 / 1e6,
            Clock::Cpu => self.cpu_ns as f64 / 1e6,
        }
    }
}

enum Doing {
    Workload(&'static Workload, u64),
    Program(Result<Work, String>),
}

/// Something to time.
pub(crate) struct Job {
    /// Name in the tables.
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// The clock of this job whatever was asked for: of a server its processor time counts, because the
    /// wall shows mostly what puts load to it.
    pub(crate) clock: Option<Clock>,
    /// About how long one run takes.
    pub(crate) lasts: Duration,
    doing: Doing,
}

/// All workloads at full amount divided by `part`.
pub(crate) fn workloads(part: u64) -> Vec<Job> {
    let jobs = WORKLOADS.iter().map(|workload| Job {
        name: workload.name,
        group: Group::Workload,
        clock: None,
        lasts: WORKLOAD_LASTS / part as u32,
        doing: Doing::Workload(workload, (workload.full / part).max(workload.tiny)),
    });
    jobs.collect()
}

/// The real programs that `wanted` names, at full amount divided by `part`, with their files below `dir`.
pub(crate) fn programs(part: u64, dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Job> {
    let jobs = programs::REAL.iter().filter(|real| wanted(real.name));
    jobs.map(|real| Job {
        name: real.name,
        group: Group::Program,
        clock: real.clock,
        lasts: real.starts + real.lasts / part as u32,
        doing: Doing::Program(programs::prepare(real, dir, (real.full / part).max(1))),
    })
    .collect()
}

impl Job {
    /// Why nobody can do it (rule J1).
    pub(crate) fn missing(&self) -> Option<&str> {
        match &self.doing {
            Doing::Program(Err(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Does it once on `entrant`.
    pub(crate) fn run(&self, entrant: &Entrant) -> Result<Run, String> {
        match (&self.doing, entrant) {
            (Doing::Workload(workload, amount), Entrant::Preloaded(peer)) => {
                let ourselves = std::env::current_exe().map_err(|error| error.to_string())?;
                let program = Program::new(ourselves)
                    .args(["workload", workload.name])
                    .arg(amount.to_string());
                told(&peer.run_on(program))
            }
            (Doing::Workload(workload, amount), Entrant::BuiltIn(build)) => {
                told(&build.workload(workload.name, *amount)?)
            }
            (Doing::Program(work), Entrant::Preloaded(peer)) => match work {
                Ok(work) => work(peer),
                Err(reason) => Err(reason.clone()),
            },
            (Doing::Program(_), Entrant::BuiltIn(build)) => {
                Err(format!("{} can't be preloaded", build.name))
            }
        }
    }

    /// A job that only has a name.
    #[cfg(test)]
    pub(crate) fn for_test(name: &'static str, group: Group) -> Self {
        Self {
            name,
            group,
            clock: None,
            lasts: WORKLOAD_LASTS,
            doing: Doing::Program(Err("a name alone".to_owned())),
        }
    }
}

/// Runs a workload and reads the line that it tells.
fn told(program: &Program) -> Result<Run, String> {
    let finished = program.run()?;
    let told: Told = serde_json::from_str(finished.stdout.trim())
        .map_err(|error| format!("{error} in {:?}", finished.stdout))?;
    Ok(Run {
        wall_ns: told.elapsed_ns,
        cpu_ns: told.cpu_ns,
        peak_rss_kib: finished.peak_rss_kib,
        result: format!("{} operations, {}", told.operations, told.checksum),
        parts: told.parts,
    })
}

#[cfg(test)]
mod tests {
    use super::{Entrant, workloads};
    use crate::peers;

    #[test]
    fn a_job_that_fails_or_says_nothing_is_told() {
        // The test program itself knows no command `workload` and writes no line of JSON.
        let glibc = peers::discover(None, &["glibc".into()], &peers::Workshop::closed())
            .unwrap()
            .remove(0);
        let jobs = workloads(1_000_000_000);
        assert!(jobs[0].run(&Entrant::Preloaded(glibc)).is_err());
        let gone = peers::rust_builds(&peers::Workshop::closed(), &["glibc".into()]).remove(0);
        let error = jobs[0].run(&Entrant::BuiltIn(gone)).unwrap_err();
        assert!(error.contains("not built"), "{error}");
    }
}
