//! `jemoxide run PROGRAM`: one program, once, on the allocator.
//!
//! ```text
//! library? - program? - scratch directory - child ... ends - reports - one screen - its exit status
//!                                                             `- with --profile: heap profiles
//! ```
//! The program's input, output and exit status stay its own; the screen goes to standard error.

mod cause;
mod profile;
mod screen;
mod watch;
mod whereabouts;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::launch::environment::{self, Settings};
use crate::launch::{Library, Scratch, child, program};
use crate::report::Family;
use crate::screen::columns_of_errors;
use crate::screen::output::safe;
use profile::Wanted;
use watch::Watch;
use whereabouts::Whereabouts;

/// Runs the program and shows the screen.
pub(crate) fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let Some((name, rest)) = arguments.command.split_first() else {
        return Err(Failure::misuse("no program given."));
    };
    let library = Library::find(arguments.library.as_deref())?;
    let file = program::find(name).ok_or_else(|| no_such_program(name))?;
    let obstacle = program::obstacle(&file, library.path());
    let wanted = Wanted::of(arguments, name)?;
    let scratch = Scratch::create()?;

    let mut command = Command::new(name);
    command.args(rest);
    let settings = Settings {
        count: !arguments.no_count,
        keep_preloads: true,
        profile: wanted.as_ref().map(|wanted| wanted.sampling),
    };
    environment::put_on_allocator(&mut command, &library, &scratch, settings)?;
    let mut watch = None;
    let (ended, _) = child::run_with(&mut command, |pid| watch = Watch::start(pid))
        .map_err(|why| cannot_start(name, &file, &why))?;
    let seen = watch.and_then(Watch::end);

    let family = Family::read(scratch.path(), ended.pid);
    let memory = family
        .child
        .map_err(|why| cause::of_missing_figures(&why, obstacle.as_ref(), &library, ended.how));
    let whereabouts = memory.as_ref().map_or_else(
        |_| Whereabouts::default(),
        |figures| Whereabouts::of(&figures.report, seen),
    );
    let shown = screen::Shown {
        command_line: &command_line(&arguments.command),
        ended: &ended,
        memory: &memory,
        others: family.others,
        whereabouts,
    };
    let profile = wanted.map(|wanted| profile::collect(&wanted, &scratch, ended.pid, ended.how));
    if arguments.json {
        let mut value = shown.json();
        if let Some(profile) = profile {
            value["heap_profile"] = profile.json();
        }
        eprintln!("{value}");
    } else {
        anstream::eprint!("{}", safe(&shown.text()));
        if let Some(profile) = profile {
            anstream::eprint!("{}", safe(&profile.text(columns_of_errors())));
        }
    }
    Ok(ExitCode::from(ended.how.code()))
}

fn no_such_program(name: &OsStr) -> Failure {
    let shown = name.to_string_lossy();
    if name.as_encoded_bytes().contains(&b'/') {
        Failure::not_found(format!("there is no program {shown}."))
    } else {
        Failure::not_found(format!(
            "there is no program `{shown}` in the folders of PATH."
        ))
    }
}

fn cannot_start(name: &OsStr, file: &Path, why: &io::Error) -> Failure {
    let shown = name.to_string_lossy();
    match (why.kind(), program::interpreter(file)) {
        (io::ErrorKind::NotFound, Some(interpreter)) => Failure::not_found(format!(
            "cannot start {shown}: its interpreter {} is not there.",
            interpreter.display()
        )),
        (io::ErrorKind::NotFound, None) => {
            Failure::not_found(format!("cannot start {shown}: its loader is not there."))
        }
        (io::ErrorKind::PermissionDenied, _) => {
            Failure::cannot_execute(format!("cannot start {shown}: it may not be executed."))
        }
        _ => Failure::cannot_execute(format!("cannot start {shown}: {why}.")),
    }
}

fn command_line(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
