//! Child: starts a process, stays with it, and tells how it ended and what it used.
//!
//! ```text
//! prepare signals - fork, exec - signals go to the child - (read its output) - it ends - reap - Ended
//! ```
//! Peak RSS comes from `wait4`. The kernel counts what a process held *before* exec too, so a child
//! started by vfork inherits our own peak, which is larger than a small program's. A plain fork starts
//! from the few pages we wrote to, so that path is forced; a small floor of some 100 KiB remains.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::launch::signals;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HowEnded {
    /// It returned from main or called exit.
    Exit(u8),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: u8,
        /// Whether a core file was written.
        dumped_core: bool,
    },
}

impl HowEnded {
    /// The status to leave with so that our caller sees what it would have seen without us.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Signal { number, .. } => 128u8.wrapping_add(number),
        }
    }

    /// What the system tells of an end.
    pub(crate) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code as u8),
            (None, signal) => Self::Signal {
                number: signal.unwrap_or_default() as u8,
                dumped_core: status.core_dumped(),
            },
        }
    }
}

/// A child's end and its use of the machine. Like the system's own figures these include the children
/// that it waited for; `peak_rss` is that of the largest single process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) pid: u32,
    pub(crate) how: HowEnded,
    pub(crate) wall: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Bytes.
    pub(crate) peak_rss: u64,
    /// Page faults served from memory, and from disk.
    pub(crate) faults: (u64, u64),
}

/// Runs `command` to its end. What it writes to a piped standard output comes back as text.
pub(crate) fn run(command: &mut Command) -> io::Result<(Ended, String)> {
    run_with(command, |_| {})
}

/// As [`run`]; `started` gets the child's number once there is one.
pub(crate) fn run_with(
    command: &mut Command,
    started: impl FnOnce(u32),
) -> io::Result<(Ended, String)> {
    signals::prepare();
    // SAFETY: the closure does nothing; its presence alone makes std fork instead of vfork (see head).
    unsafe { command.pre_exec(|| Ok(())) };
    let start = Instant::now();
    let mut child = command.spawn()?;
    signals::child_started(child.id() as i32);
    started(child.id());
    let mut output = String::new();
    let read = match child.stdout.take() {
        Some(mut pipe) => pipe.read_to_string(&mut output).map(drop),
        None => Ok(()),
    };
    let ended = reap(&child, start)?;
    read?;
    Ok((ended, output))
}

/// From now on signals do not end the command: they go to a child, or are kept for [`asked_to_stop`].
pub(crate) fn watch_signals() {
    signals::prepare();
}

/// A signal that came for the command itself; before starting another child it should stop instead.
pub(crate) fn asked_to_stop() -> Option<u8> {
    signals::asked_to_stop().and_then(|signal| u8::try_from(signal).ok())
}

fn reap(child: &Child, start: Instant) -> io::Result<Ended> {
    let pid = child.id();
    // SAFETY: all-zero is a valid `siginfo_t`; `waitid` fills it. WNOWAIT leaves the child unreaped, so
    // its number cannot be given away before signals stop going to it.
    retry(|| unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT)
    })?;
    let wall = start.elapsed();
    signals::child_ended();

    let mut status = 0;
    // SAFETY: all-zero is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types.
    retry(|| unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) })?;
    Ok(Ended {
        pid,
        how: HowEnded::of(ExitStatus::from_raw(status)),
        wall,
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        // KiB on Linux.
        peak_rss: usage.ru_maxrss as u64 * 1024,
        faults: (usage.ru_minflt as u64, usage.ru_majflt as u64),
    })
}

fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<()> {
    loop {
        if call() >= 0 {
            return Ok(());
        }
        let why = io::Error::last_os_error();
        if why.kind() != io::ErrorKind::Interrupted {
            return Err(why);
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn shell(script: &str) -> (Ended, String) {
        run(Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .stdout(Stdio::piped()))
        .expect("a shell")
    }

    #[test]
    fn status_signal_and_output_come_back() {
        let (ended, output) = shell("echo hello; exit 7");
        assert_eq!(
            (ended.how, ended.how.code(), output.as_str()),
            (HowEnded::Exit(7), 7, "hello\n")
        );
        let (ended, _) = shell("kill -9 $$");
        assert!(matches!(ended.how, HowEnded::Signal { number: 9, .. }));
        assert_eq!(ended.how.code(), 137);
    }

    #[test]
    fn usage_is_the_childs() {
        let (ended, _) = shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
        assert!(ended.user > Duration::ZERO);
        assert!(
            ended.peak_rss > 100 << 10 && ended.peak_rss < 1 << 30,
            "{}",
            ended.peak_rss
        );
        assert!(ended.faults.0 > 0);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let why = run(&mut Command::new("/no/such/program")).expect_err("nothing to run");
        assert_eq!(why.kind(), io::ErrorKind::NotFound);
    }
}
