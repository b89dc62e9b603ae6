//! `jemoxide top PID|FILE|--run PROGRAM`: a living process, watched.
//!
//! ```text
//! find | start ── watch: reads figures, asks for more ──┬── terminal: keys ── view: one frame      on a terminal
//!                   └── stacks: dumps -> hottest        └── plain: a line a period                  elsewhere
//! ```
//! W1  The terminal is put back as it was on every way out: a key, the end of the process, an error, a panic.
//! W2  Nothing waits for the watched process: a request is left in its mailbox, and its answer seen when it is there.

mod boxes;
mod lines;
mod plain;
mod program;
mod stacks;
mod tables;
mod terminal;
mod view;
mod watch;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::arguments::TopArguments;
use crate::failure::Failure;
use crate::live::{Subject, Waiting, find};
use crate::screen::output::safe;
use program::Program;
use watch::Watch;

/// How long a program that was started here may take to open its channel: it does so at its first allocation.
const START: Duration = Duration::from_secs(10);

/// Watches until the person, or the process, has enough.
pub(crate) fn watch(arguments: &TopArguments) -> Result<ExitCode, Failure> {
    let on_terminal = std::io::stdout().is_terminal();
    let (program, subject, waiting) = match &arguments.of {
        Some(of) => (None, Subject::of(of), Waiting::Briefly),
        None => {
            let program =
                Program::start(&arguments.run, arguments.library.as_deref(), on_terminal)?;
            let subject = Subject::Process(program.pid());
            (Some(program), subject, Waiting::AtMost(START))
        }
    };
    let period = Duration::from_secs_f64(arguments.every);
    let begun = find(&subject, waiting).and_then(|found| Watch::new(found, period));
    let mut watch = match begun {
        Ok(watch) => watch,
        Err(failure) => return program.map_or(Err(failure), Program::unwatched),
    };
    let outcome = if on_terminal {
        terminal::run(&mut watch)
    } else {
        plain::run(&mut watch, arguments.count)
    };
    if program.is_none() && watch.goes_on_profiling() {
        eprintln!(
            "jemoxide: {} goes on profiling, as you began it; `jemoxide top {}` and p end it.",
            safe(&watch.title),
            arguments
                .of
                .as_deref()
                .unwrap_or(Path::new("PID"))
                .display()
        );
    }
    let code = program.map_or(ExitCode::SUCCESS, Program::end);
    outcome.map(|()| code)
}
