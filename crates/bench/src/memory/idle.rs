//! Idle: a program that does its work, says `ready`, and is looked at while it does nothing.
//!
//! The program must stay silent while it idles: an allocator that only purges when it is called must
//! be seen to keep its memory.

use super::report_file::{self, Books};
use crate::process::{Program, peak_resident_kib, resident_kib};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout};
use std::sync::mpsc;
use std::time::Duration;

/// Longest time from start to `ready`.
const READY: Duration = Duration::from_secs(60);

/// What was seen of an idle program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Resident size after the idle time.
    pub(crate) rss_kib: u64,
    /// Highest resident size until then.
    pub(crate) peak_kib: u64,
    /// Bytes that the program still holds, as it says itself.
    pub(crate) live: u64,
    /// Bytes that it asked for at its peak, as it says itself.
    pub(crate) requested: u64,
    /// The allocator's own books, if it keeps them.
    pub(crate) books: Option<Books>,
}

/// Starts `program`, waits until it is ready and then for `idle`, looks at it and ends it. `books`: the
/// folder into which the allocator writes its report, if it does.
pub(crate) fn watch(
    program: &Program,
    idle: Duration,
    books: Option<&Path>,
) -> Result<Seen, String> {
    let mut command = program.command();
    // SAFETY: between fork and exec the closure makes one system call and nothing else.
    unsafe {
        command.pre_exec(|| {
            // The program would otherwise idle for ever if the bench is ended.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let seen = look(&mut child, idle, books);
    // It may have ended by itself; then the look has failed already.
    let _ = child.kill();
    let status = child.wait();
    seen.map_err(|error| {
        format!(
            "{error} ({})",
            status.map_or("lost".into(), |s| s.to_string())
        )
    })
}

fn look(child: &mut Child, idle: Duration, books: Option<&Path>) -> Result<Seen, String> {
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let (live, requested) = wait_until_ready(stdout)?;
    std::thread::sleep(idle);
    let gone = || "the program ended before it was looked at".to_owned();
    Ok(Seen {
        rss_kib: resident_kib(child.id()).ok_or_else(gone)?,
        peak_kib: peak_resident_kib(child.id()).ok_or_else(gone)?,
        live,
        requested,
        books: books.and_then(|dir| report_file::read(&dir.join(child.id().to_string()))),
    })
}

/// Reads the line `ready live=L requested=R`.
fn wait_until_ready(stdout: ChildStdout) -> Result<(u64, u64), String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // Nobody listens any more if the time was up.
        let _ = tell.send(read.map(|_| line));
    });
    match told.recv_timeout(READY) {
        Ok(Ok(line)) => parse_ready(&line).ok_or_else(|| format!("not ready: {:?}", line.trim())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("not ready after {READY:?}")),
    }
}

fn parse_ready(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    if words.next()? != "ready" {
        return None;
    }
    let live = words.next()?.strip_prefix("live=")?.parse().ok()?;
    let requested = words.next()?.strip_prefix("requested=")?.parse().ok()?;
    Some((live, requested))
}

#[cfg(test)]
mod tests {
    use super::{parse_ready, watch};
    use crate::process::Program;
    use std::time::Duration;

    #[test]
    fn the_line_is_read() {
        assert_eq!(parse_ready("ready live=3 requested=7\n"), Some((3, 7)));
        assert_eq!(parse_ready("nearly live=3 requested=7"), None);
    }

    #[test]
    fn a_program_that_is_never_ready_is_an_error() {
        let program = Program::new("/bin/true");
        assert!(watch(&program, Duration::ZERO, None).is_err());
    }
}
