//! Trace: a child followed from its exec to its end (rule C1 of the processes).

use super::family::{peak_resident_kib, resident_kib};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// The arguments of a trace request that takes none.
pub(super) const NO_ADDRESS: *mut libc::c_void = std::ptr::null_mut();

/// Sizes at the exit stop.
#[derive(Default)]
pub(super) struct AtExit {
    pub(super) peak_rss_kib: u64,
    pub(super) exit_rss_kib: u64,
}

/// What the wait for a child brought.
pub(super) struct Traced {
    pub(super) status: ExitStatus,
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) exit: AtExit,
    pub(super) largest_rss_kib: u64,
}

/// Follows `child`, which stopped itself at exec, to its end.
pub(super) fn trace(child: &Child) -> std::io::Result<Traced> {
    let pid = child.id() as libc::pid_t;
    let (status, _) = wait(pid)?;
    if !libc::WIFSTOPPED(status) {
        return Err(std::io::Error::other("ended before its exec"));
    }
    let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SETOPTIONS, pid, options)?;
    let start = Instant::now();
    let mut exit = AtExit::default();
    request(libc::PTRACE_CONT, pid, 0)?;
    loop {
        let (status, usage) = wait(pid)?;
        if !libc::WIFSTOPPED(status) {
            return Ok(Traced {
                status: ExitStatus::from_raw(status),
                wall: start.elapsed(),
                cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
                exit,
                largest_rss_kib: usage.ru_maxrss as u64,
            });
        }
        let signal = if status >> 16 == libc::PTRACE_EVENT_EXIT {
            exit = read_at_exit(child.id());
            0
        } else {
            match libc::WSTOPSIG(status) {
                // A further exec of a traced program stops with this one; it is not the program's.
                libc::SIGTRAP => 0,
                signal => signal,
            }
        };
        // A child killed between the two calls is gone; the next wait says so.
        let _ = request(libc::PTRACE_CONT, pid, signal);
    }
}

fn read_at_exit(pid: u32) -> AtExit {
    AtExit {
        peak_rss_kib: peak_resident_kib(pid).unwrap_or(0),
        exit_rss_kib: resident_kib(pid).unwrap_or(0),
    }
}

fn wait(pid: libc::pid_t) -> std::io::Result<(libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the call writes one status and one rusage, to which the pointers lead.
        let got = unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, &raw mut usage) };
        if got == pid {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn request(what: libc::c_uint, pid: libc::pid_t, data: libc::c_int) -> std::io::Result<()> {
    // SAFETY: the two requests made here take numbers only.
    match unsafe { libc::ptrace(what, pid, NO_ADDRESS, libc::c_long::from(data)) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
}
