//! Programs: what is timed: our own workloads and real programs of the machine.
//!
//! A workload is this very program with the hidden command `workload`; it times its own work. A real
//! program is an interpreter with a script of this package; its whole life is timed.

use crate::compile;
use crate::peers::Peer;
use crate::process::Program;
use crate::workload::{Told, WORKLOADS};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// A real program: an interpreter and a script that takes one number.
#[derive(Debug)]
pub(crate) struct Real {
    /// Name in the tables.
    pub(crate) name: &'static str,
    /// Names under which the interpreter is looked for.
    interpreters: &'static [&'static str],
    script: &'static str,
    full: u64,
}

/// All real programs, in table order.
pub(crate) const REAL: &[Real] = &[
    Real {
        name: "python-json",
        interpreters: &["/usr/bin/python3", "/usr/local/bin/python3"],
        script: "scripts/json_round_trip.py",
        full: 40,
    },
    Real {
        name: "lua-strings",
        interpreters: &["/usr/bin/lua5.4", "/usr/bin/lua5.3", "/usr/bin/lua"],
        script: "scripts/strings.lua",
        full: 40,
    },
];

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

/// Something to time.
#[derive(Debug)]
pub(crate) struct Job {
    /// Name in the tables.
    pub(crate) name: &'static str,
    program: Program,
    /// Whether it tells its own times.
    tells: bool,
}

/// All jobs at full amount divided by `part`, and a line for each real program that is not here.
pub(crate) fn all(part: u64) -> Result<(Vec<Job>, Vec<String>), String> {
    let ourselves = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut jobs: Vec<Job> = WORKLOADS
        .iter()
        .map(|workload| Job {
            name: workload.name,
            program: Program::new(&ourselves)
                .arg("workload")
                .arg(workload.name)
                .arg((workload.full / part).max(workload.tiny).to_string()),
            tells: true,
        })
        .collect();
    let mut missing = Vec::new();
    for real in REAL {
        match interpreter(real) {
            Some(file) => jobs.push(Job {
                name: real.name,
                program: Program::new(file)
                    .arg(compile::package_dir().join(real.script))
                    .arg((real.full / part).max(1).to_string()),
                tells: false,
            }),
            None => missing.push(format!(
                "MISSING: {} is left out: none of {} is installed",
                real.name,
                real.interpreters.join(", ")
            )),
        }
    }
    Ok((jobs, missing))
}

fn interpreter(real: &Real) -> Option<PathBuf> {
    let runs = |file: &&&str| {
        // Asked to run an empty script; a wrapper that only finds the real one would be measured itself,
        // so the names are those of the real ones.
        Command::new(file)
            .arg("/dev/null")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    real.interpreters.iter().find(runs).map(PathBuf::from)
}

impl Job {
    /// Runs it once on `peer`.
    pub(crate) fn run(&self, peer: &Peer) -> Result<Run, String> {
        let finished = peer.run_on(self.program.clone()).run()?;
        if !self.tells {
            return Ok(Run {
                wall_ns: finished.wall.as_nanos() as u64,
                cpu_ns: finished.cpu.as_nanos() as u64,
                peak_rss_kib: finished.peak_rss_kib,
                result: finished.stdout.trim().to_owned(),
                parts: BTreeMap::new(),
            });
        }
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

    /// A job that only has a name.
    #[cfg(test)]
    pub(crate) fn for_test(name: &'static str) -> Self {
        Self {
            name,
            program: Program::new("/bin/true"),
            tells: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{REAL, all, interpreter};
    use crate::compile;
    use crate::peers;
    use crate::process::Program;

    #[test]
    fn every_real_program_that_is_here_tells_the_same_twice() {
        for real in REAL {
            let Some(file) = interpreter(real) else {
                println!("NOT TESTED: {} has no interpreter here", real.name);
                continue;
            };
            let script = compile::package_dir().join(real.script);
            let program = Program::new(file).arg(script).arg("1");
            let (first, second) = (program.run().unwrap(), program.run().unwrap());
            assert!(!first.stdout.trim().is_empty());
            assert_eq!(first.stdout, second.stdout);
        }
    }

    #[test]
    fn a_job_that_fails_or_says_nothing_is_told() {
        // The test program itself knows no command `workload` and writes no line of JSON.
        let (jobs, _) = all(1_000_000_000).unwrap();
        let glibc = &peers::discover(None, &["glibc".into()]).unwrap()[0];
        assert!(jobs[0].run(glibc).is_err());
    }
}
