//! Program: started here to be watched, and ended when nobody watches any more.
//!
//! On a terminal its output would run over the picture: it goes to a file, whose end is shown when the picture is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::launch::environment::{self, Settings};
use crate::launch::{HowEnded, Library, Scratch, program};
use crate::screen::output::safe;

/// How long a program that was told to end may take.
const GRACE: Duration = Duration::from_secs(3);
/// The most of its output that is shown at the end.
const OUTPUT: u64 = 16 << 10;

/// A program under way.
pub(super) struct Program {
    child: Child,
    name: String,
    output: Option<File>,
    _scratch: Scratch,
}

impl Program {
    /// Starts `command` with the library preloaded and its channel open.
    pub(super) fn start(
        command: &[OsString],
        library: Option<&Path>,
        on_terminal: bool,
    ) -> Result<Self, Failure> {
        let Some((name, rest)) = command.split_first() else {
            return Err(Failure::misuse(
                "say which process to watch: jemoxide top PID, or jemoxide top --run PROGRAM.",
            ));
        };
        let shown = name.to_string_lossy().into_owned();
        let library = Library::find(library)?;
        let file = program::find(name)
            .ok_or_else(|| Failure::not_found(format!("there is no program {shown}.")))?;
        if let Some(obstacle) = program::obstacle(&file, library.path()) {
            return Err(Failure::cannot_execute(format!("{obstacle}.")));
        }
        let scratch = Scratch::create()?;
        let mut command = Command::new(name);
        command.args(rest);
        let settings = Settings {
            count: false,
            profile: None,
            keep_preloads: true,
        };
        environment::put_on_allocator(&mut command, &library, &scratch, settings)?;
        let live = format!("control:{}", scratch.path().join("live").display());
        environment::add_option(&mut command, live);
        let output = on_terminal.then(tempfile::tempfile).transpose();
        let output = output.map_err(|why| Failure::broken(format!("no temporary file: {why}.")))?;
        if let Some(output) = &output {
            let handle = || output.try_clone().map(Stdio::from);
            let both = handle().and_then(|out| Ok((out, handle()?)));
            let (out, error) =
                both.map_err(|why| Failure::broken(format!("no temporary file: {why}.")))?;
            command.stdin(Stdio::null()).stdout(out).stderr(error);
        } else {
            // Standard output is for our lines.
            command.stdout(Stdio::from(std::io::stderr()));
        }
        let child = command
            .spawn()
            .map_err(|why| Failure::cannot_execute(format!("cannot start {shown}: {why}.")))?;
        Ok(Self {
            child,
            name: shown,
            output,
            _scratch: scratch,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// There is nothing to watch: it ended too soon, which is told, or it has no channel.
    pub(super) fn unwatched(mut self) -> Result<ExitCode, Failure> {
        let name = self.name.clone();
        // Its channel goes a moment before it.
        let ended = self.ended_within(Duration::from_millis(500));
        let code = self.end();
        let Some(status) = ended else {
            return Err(Failure::broken(format!(
                "{name} opens no live channel: it never allocates, or brings its own allocator."
            )));
        };
        let told = format!(
            "{name} ended ({status}) before there was anything to watch. What it did with memory: jemoxide run {name}"
        );
        eprintln!("jemoxide: {}", safe(&told));
        Ok(code)
    }

    /// How it ended, if it has within `time`.
    fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || begun.elapsed() >= time {
                return ended;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it if it is still there; shows what it had to say. Its exit status.
    pub(super) fn end(mut self) -> ExitCode {
        if self.ended_within(Duration::ZERO).is_none() {
            // SAFETY: a plain call; the child is not reaped yet, so the number is its own.
            unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
            self.ended_within(GRACE);
            // No effect on one that has ended and was waited for.
            let _ = self.child.kill();
        }
        let code = self
            .child
            .wait()
            .map_or(1, |status| HowEnded::of(status).code());
        if let Some(output) = self.output.take() {
            // Its last words; who left cannot read them.
            let _ = show_end(output);
        }
        ExitCode::from(code)
    }
}

fn show_end(mut output: File) -> std::io::Result<()> {
    let len = output.seek(SeekFrom::End(0))?;
    output.seek(SeekFrom::Start(len.saturating_sub(OUTPUT)))?;
    let mut text = Vec::new();
    output.take(OUTPUT).read_to_end(&mut text)?;
    std::io::stderr().write_all(&text)
}
