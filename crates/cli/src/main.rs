//! The `jemoxide` command.
//!
//! ```text
//! jemoxide run PROGRAM   run/       start it with the library preloaded, wait, show one screen
//! jemoxide run           compare/   the built-in workload, on glibc's malloc and on jemoxide
//! jemoxide top PID     top/      watch a living process
//! jemoxide stats PID   stats/    its figures, once
//! jemoxide classes       classes.rs the size-class table
//! jemoxide conf          conf.rs    the options in force, and where they come from
//! jemoxide report        heap/      what heap profiles say
//! jemoxide diff          heap/      two heap profiles side by side
//! jemoxide flame         heap/      flamegraphs
//! jemoxide convert       heap/      heap profiles in another form
//! ```
//!
//! Beneath them: `launch/` (find the library, start a child, wait for it), `report/` (the figures a
//! process left), `live/` (those of a living one), `workload/` (the key-value store), `screen/` (numbers and tables as text).
//!
//! The command itself stays on the system's allocator: the built-in workload runs in child processes
//! of this same binary, and only what is preloaded decides which allocator they get.

mod arguments;
mod classes;
mod compare;
mod conf;
mod failure;
mod heap;
mod launch;
mod live;
mod report;
mod run;
mod screen;
mod stats;
mod top;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(run) if run.command.is_empty() => compare::compare(&run),
        Command::Run(run) => run::run(&run),
        Command::Top(top) => top::watch(&top),
        Command::Stats(stats) => stats::show(&stats),
        Command::Classes(classes) => classes::print(&classes),
        Command::Conf(conf) => conf::print(&conf),
        Command::Report(report) => heap::report::print(&report),
        Command::Diff(diff) => heap::diff::print(&diff),
        Command::Flame(flame) => heap::flame::draw(&flame),
        Command::Convert(convert) => heap::convert::convert(&convert),
        Command::Workload(plan) => workload::serve_and_print(&plan),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}
