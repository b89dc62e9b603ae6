//! Arguments: everything a person can type, and the help they get back.

pub(crate) mod heap;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use heap::{ConvertArguments, DiffArguments, FlameArguments, ReportArguments};

/// Run programs on the jemoxide memory allocator and see what they did with memory.
#[derive(Debug, Parser)]
#[command(
    name = "jemoxide",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 80,
    after_help = "Examples:
  jemoxide run                        compare glibc's malloc with jemoxide
  jemoxide run python3 script.py      run a program on jemoxide
  jemoxide top --run server           run a program and watch its memory
  jemoxide classes                    which sizes the allocator hands out
  jemoxide conf                       which options are in force, and why
  jemoxide report app.4711.heap       where a program's memory was allocated

Each command tells more: `jemoxide run --help`. From a service that grows to the
line of code: docs/PROFILING.md."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program on jemoxide; without a program, compare glibc and jemoxide.
    Run(RunArguments),
    /// Watch a living process: where its memory is, its arenas, size classes and hottest stacks.
    Top(TopArguments),
    /// Print the figures of a process once: of a living one, or from a file that it left.
    Stats(StatsArguments),
    /// Print the table of size classes: the sizes that requests are rounded up to.
    Classes(ClassesArguments),
    /// Print the options in force, and where each value comes from.
    Conf(ConfArguments),
    /// Show what heap profiles say: where memory was allocated, by whom, and how long it lived.
    Report(ReportArguments),
    /// Compare two heap profiles: what grew, and where.
    Diff(DiffArguments),
    /// Draw heap profiles as a flamegraph: an interactive page (.html) or a picture (.svg).
    Flame(FlameArguments),
    /// Write a heap profile in another form: heap_v2, pprof or collapsed stacks.
    Convert(ConvertArguments),
    /// One run of the built-in workload in this process, result as JSON.
    #[command(hide = true)]
    Workload(WorkloadArguments),
}

/// Run a program on jemoxide; without a program, compare glibc and jemoxide.
#[derive(Args, Debug)]
#[command(
    override_usage = "jemoxide run [OPTIONS] [--] PROGRAM [ARGS]...\n       jemoxide run [OPTIONS]",
    long_about = "\
Run a program with libjemoxide.so preloaded, so that its malloc and free are
jemoxide's. When it ends, one screen on standard error shows the time it took
and the memory it used. The program needs no change and no rebuild; its input,
output and exit status stay its own.

Without a program, a built-in workload (a small key-value store under load from
several threads) runs in turn on glibc's malloc and on jemoxide, and the two are
shown side by side. That takes 15 to 20 seconds.",
    after_help = "Examples:
  jemoxide run                          the built-in comparison
  jemoxide run sort big.txt             any program, with its arguments
  jemoxide run -- make -j4              `--` may stand before the program
  jemoxide run --no-count redis-server  leave out how many calls were made
  jemoxide run --profile sort big.txt   also: where its memory was allocated

Exit status: the program's own; 128 + n if signal n ended it; 2 if the library
is missing; 126 or 127 if the program cannot be started or found.

Programs that cannot be preloaded (statically linked, setuid) still run, on
their own allocator, and the screen says so."
)]
pub(crate) struct RunArguments {
    /// The program, followed by its arguments; none for the built-in comparison
    #[arg(value_name = "PROGRAM", trailing_var_arg = true, num_args = 0..)]
    pub(crate) command: Vec<OsString>,

    /// The library to preload [default: libjemoxide.so beside this command, or in ../lib]
    #[arg(long, value_name = "PATH")]
    pub(crate) library: Option<PathBuf>,

    /// Don't say how many allocations and frees there were (counting costs nothing)
    #[arg(long)]
    pub(crate) no_count: bool,

    /// Record where memory is allocated, leave a heap profile and show its ten heaviest call paths
    /// [default FILE: PROGRAM.PID.heap]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "", requires = "command")]
    pub(crate) profile: Option<OsString>,

    /// With --profile: mean bytes from one sample to the next (64K, 1M; 1: every allocation)
    /// [default: 64K, or what lg_prof_sample in the environment says]
    #[arg(long, value_name = "SIZE", requires = "profile", value_parser = crate::screen::numbers::lg_size)]
    pub(crate) sample: Option<u8>,

    /// Tell the figures as JSON, on one line of standard error, instead of the screen
    #[arg(long, requires = "command")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) comparison: ComparisonArguments,
}

/// How much the built-in comparison does.
#[derive(Args, Debug)]
#[command(next_help_heading = "Built-in comparison")]
pub(crate) struct ComparisonArguments {
    /// Runs on each allocator; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,

    /// Threads sending requests [default: one for each processor, 2 to 8]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: Option<u32>,

    /// Keys in the store before it grows; memory follows from it
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) keys: u64,

    /// Steady requests in a run [default: as many as take about 0.6 s]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub(crate) requests: Option<u64>,
}

/// `jemoxide top`.
#[derive(Args, Debug)]
#[command(
    override_usage = "jemoxide top [OPTIONS] PID|FILE\n       jemoxide top [OPTIONS] --run PROGRAM [ARGS]...",
    after_help = "\
The process must have its live channel open: started with
JEMOXIDE_CONF=control:/tmp/jemoxide, or opened by the program (mallctl
jemoxide.control, jemoxide::open_channel), or by a signal (control_signal:12 and
kill -12 PID). It is for its owner alone, works from outside of containers, and
is never open by itself. --run opens it.

Keys: Tab arenas, size classes, stacks; p profiling on and off; q leaves. A
program started by --run is ended (SIGTERM) when the watch is left.

Where standard output is no terminal, each look prints a line.

Examples:
  jemoxide top 4711                    a process with its channel open
  jemoxide top /run/app/mem.4711       its channel's file, as containers share
  jemoxide top --run ./server -p 80    start a program and watch it
  jemoxide top 4711 --count 5 | cat    five lines, for a log

Exit status: 0; 2 if the process has no channel, or is not there; with --run the
program's own, 126 or 127 if it cannot be started or found."
)]
pub(crate) struct TopArguments {
    /// A process, or the file of its live channel: with control:PATH that is PATH.PID, in a
    /// container PATH.NAMESPACE.PID
    #[arg(
        value_name = "PID|FILE",
        required_unless_present = "run",
        conflicts_with = "run"
    )]
    pub(crate) of: Option<PathBuf>,

    /// Start this program and watch it
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) run: Vec<OsString>,

    /// The library to preload [default: libjemoxide.so beside this command, or in ../lib]
    #[arg(long, value_name = "PATH", requires = "run")]
    pub(crate) library: Option<PathBuf>,

    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) every: f64,

    /// Lines to print, where standard output is no terminal [default: until the process ends]
    #[arg(long, value_name = "LINES")]
    pub(crate) count: Option<u64>,
}

/// Seconds that make sense between two looks.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("0.1 to 3600 seconds".to_owned())
    }
}

/// `jemoxide stats`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jemoxide stats 4711              a living process with its live channel open
  jemoxide stats /tmp/jemoxide.12  the file of such a channel
  jemoxide stats saved.json        what malloc_stats_print wrote (letter J)
  jemoxide stats --json 4711       for other programs; bytes and seconds

How a process opens its channel: jemoxide top --help.

Exit status: 0; 1 if what is there cannot be read; 2 if there is no such process
or file, or the process has no channel open.")]
pub(crate) struct StatsArguments {
    /// A process, or a file with figures
    #[arg(value_name = "PID|FILE")]
    pub(crate) of: PathBuf,

    /// The figures as JSON, for other programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// `jemoxide classes`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jemoxide classes                 the small classes and the first large ones
  jemoxide classes --all           all of them
  jemoxide classes --json | jq '.[] | select(.waste_percent > 1)'")]
pub(crate) struct ClassesArguments {
    /// All classes, up to the largest
    #[arg(long)]
    pub(crate) all: bool,

    /// All classes as JSON, for other programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// `jemoxide conf`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jemoxide conf                            what a program started here would get
  MALLOC_CONF=thp:never jemoxide conf      the same, with that set
  jemoxide conf --preset low_memory        what a preset stands for
  jemoxide conf --pid 4711                 what a process was started with

Presets: server, desktop, container, low_memory, throughput. Options are read
from /etc/malloc.conf (the text of a symbolic link), MALLOC_CONF,
_RJEM_MALLOC_CONF and JEMOXIDE_CONF; later ones win.

Exit status: 0; 2 if there is no such preset or process.")]
pub(crate) struct ConfArguments {
    /// What this preset stands for, whatever the environment says
    #[arg(long, value_name = "NAME", conflicts_with = "pid")]
    pub(crate) preset: Option<String>,

    /// What the running process PID was started with
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Also the options of jemalloc that have no effect here
    #[arg(long)]
    pub(crate) all: bool,

    /// All options as JSON, for other programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// One run of the workload; [`crate::workload::Plan`] explains the fields.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkloadArguments {
    #[arg(long)]
    pub(crate) threads: u32,
    #[arg(long)]
    pub(crate) keys: u64,
    #[arg(long)]
    pub(crate) requests: u64,
    #[arg(long)]
    pub(crate) seed: u64,
    #[arg(long)]
    pub(crate) rest_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run_of(line: &[&str]) -> RunArguments {
        match Arguments::try_parse_from(line).expect("parses").command {
            Command::Run(run) => run,
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_after_the_program_are_the_programs() {
        let run = run_of(&[
            "jemoxide",
            "run",
            "--no-count",
            "ls",
            "--library",
            "x",
            "-h",
        ]);
        assert!(run.no_count);
        assert_eq!(run.library, None);
        assert_eq!(run.command, ["ls", "--library", "x", "-h"]);
    }

    #[test]
    fn a_double_dash_may_stand_before_the_program() {
        let run = run_of(&["jemoxide", "run", "--", "-odd-name", "--", "x"]);
        assert_eq!(run.command, ["-odd-name", "--", "x"]);
        assert!(run_of(&["jemoxide", "run"]).command.is_empty());
    }

    #[test]
    fn an_unknown_option_is_not_taken_for_a_program() {
        assert!(Arguments::try_parse_from(["jemoxide", "run", "--librar", "x"]).is_err());
        assert!(Arguments::try_parse_from(["jemoxide", "run", "-x"]).is_err());
    }
}
