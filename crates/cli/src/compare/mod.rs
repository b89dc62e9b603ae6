//! `jemoxide run` with no program: the built-in workload on glibc's malloc and on jemoxide.
//!
//! ```text
//! trial (glibc)    how many requests take 0.6 s?
//! round 1          glibc, jemoxide
//! round 2          jemoxide, glibc          interleaved, and turned round: drift hits both alike
//! ...
//! check            same requests, same content, right library in each; else it is an error
//! screen           medians, side by side
//! ```
//! Each run is a process of its own, of this same binary; the library in it is the only difference.

mod check;
mod screen;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::{ComparisonArguments, RunArguments};
use crate::failure::Failure;
use crate::launch::environment::{self, PRELOAD, Settings};
use crate::launch::{Ended, HowEnded, Library, Scratch, child};
use crate::report::{Family, Figures, Unreadable};
use crate::screen::output;
use crate::workload::{Outcome, Plan};

const SEED: u64 = 20_240_229;
/// The pause in which an allocator may give memory back.
const REST_MS: u64 = 1_500;
/// Requests of the trial.
const TRIAL: u64 = 100_000;
/// Length of the steady phases of a run.
const STEADY_SECONDS: f64 = 0.6;

/// One run on one of the two.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) ended: Ended,
    /// The allocator's own figures; none on glibc's malloc.
    pub(crate) figures: Option<Result<Figures, Unreadable>>,
}

/// All runs, in the order of the rounds.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) glibc: Vec<Run>,
    pub(crate) jemoxide: Vec<Run>,
}

/// Runs, checks and shows the comparison.
pub(crate) fn compare(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let library = Library::find(arguments.library.as_deref())?;
    let stage = Stage::set(&library)?;
    child::watch_signals();
    let rounds = arguments.comparison.rounds;
    let progress = progress(rounds);
    let plan = stage.plan(&arguments.comparison, &progress)?;
    let mut runs = Runs::default();
    for round in 1..=rounds {
        // Odd rounds start with glibc, even ones with jemoxide.
        for turn in [round, round + 1] {
            if turn % 2 == 1 {
                progress.set_message(format!("round {round}, glibc"));
                runs.glibc.push(stage.on_glibc(plan)?);
            } else {
                progress.set_message(format!("round {round}, jemoxide"));
                runs.jemoxide.push(stage.on_jemoxide(plan)?);
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    check::check(&runs, &library)?;
    output::print(&screen::text(plan, &runs))?;
    Ok(ExitCode::SUCCESS)
}

/// What every run needs.
struct Stage<'a> {
    library: &'a Library,
    command: PathBuf,
}

impl<'a> Stage<'a> {
    fn set(library: &'a Library) -> Result<Self, Failure> {
        let command = std::env::current_exe()
            .map_err(|why| Failure::broken(format!("cannot tell where this command is: {why}.")))?;
        Ok(Self { library, command })
    }

    /// The plan asked for; what was left open follows from the machine.
    fn plan(&self, asked: &ComparisonArguments, progress: &ProgressBar) -> Result<Plan, Failure> {
        let processors = thread::available_parallelism().map_or(2, usize::from);
        let threads = asked
            .threads
            .map_or(processors.clamp(2, 8), |threads| threads as usize);
        let plan = Plan {
            threads,
            keys: asked.keys,
            requests: TRIAL,
            seed: SEED,
            rest_ms: REST_MS,
        };
        if let Some(requests) = asked.requests {
            return Ok(Plan { requests, ..plan });
        }
        progress.set_message("trial");
        let trial = self.on_glibc(Plan { rest_ms: 0, ..plan })?.outcome;
        let per_second = trial.requests as f64 / Duration::from_nanos(trial.busy_ns).as_secs_f64();
        let requests = (per_second * STEADY_SECONDS) as u64;
        Ok(Plan {
            requests: (requests / 10_000 * 10_000).clamp(TRIAL, 100 * TRIAL),
            ..plan
        })
    }

    fn on_glibc(&self, plan: Plan) -> Result<Run, Failure> {
        let mut command = self.command(plan);
        command.env_remove(PRELOAD);
        let (ended, outcome) = outcome_of(&mut command)?;
        Ok(Run {
            outcome,
            ended,
            figures: None,
        })
    }

    fn on_jemoxide(&self, plan: Plan) -> Result<Run, Failure> {
        let scratch = Scratch::create()?;
        let mut command = self.command(plan);
        // Not counted: the comparison is of the allocator as it is used.
        let settings = Settings {
            count: false,
            keep_preloads: false,
            profile: None,
        };
        environment::put_on_allocator(&mut command, self.library, &scratch, settings)?;
        let (ended, outcome) = outcome_of(&mut command)?;
        let figures = Family::read(scratch.path(), ended.pid).child;
        Ok(Run {
            outcome,
            ended,
            figures: Some(figures),
        })
    }

    fn command(&self, plan: Plan) -> Command {
        let mut command = Command::new(&self.command);
        command
            .args(plan.to_words())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }
}

fn outcome_of(command: &mut Command) -> Result<(Ended, Outcome), Failure> {
    let (ended, text) = child::run(command)
        .map_err(|why| Failure::broken(format!("cannot run the workload: {why}.")))?;
    if let Some(signal) = child::asked_to_stop() {
        return Err(Failure::stopped(signal));
    }
    match ended.how {
        HowEnded::Exit(0) => {}
        HowEnded::Exit(code) => {
            return Err(Failure::broken(format!(
                "the workload failed with exit status {code}."
            )));
        }
        HowEnded::Signal { number, .. }
            if [libc::SIGINT, libc::SIGTERM].contains(&number.into()) =>
        {
            return Err(Failure::stopped(number));
        }
        HowEnded::Signal { number, .. } => {
            return Err(Failure::broken(format!(
                "the workload was killed by signal {number}."
            )));
        }
    }
    let outcome = serde_json::from_str(&text)
        .map_err(|why| Failure::broken(format!("the workload's result cannot be read: {why}.")))?;
    Ok((ended, outcome))
}

fn progress(rounds: u32) -> ProgressBar {
    // Hidden by itself where standard error is no terminal.
    let progress = ProgressBar::new(2 * u64::from(rounds));
    if progress.is_hidden() {
        anstream::eprintln!(
            "jemoxide: comparing glibc's malloc and jemoxide; 15 to 20 seconds ..."
        );
    }
    let style = ProgressStyle::with_template("comparing  [{bar:30}] {pos}/{len}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    progress.set_style(style.progress_chars("=> "));
    progress.tick();
    progress
}

/// The file that a preloaded library shows up as.
fn mapped_as(path: &Path) -> String {
    path.canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .to_string_lossy()
        .into_owned()
}
