//! Server: a program that serves while something else puts load to it.
//!
//! ```text
//! start -- ready? -- library mapped? -- load -- check -- signal -- end
//!                                        |<- wall ->|
//! |<------------------- processor time of it and its children ------------>|
//! ```
//! The size of a server of several processes is looked at while the load runs, some twenty times a second:
//! the highest sum in which a page that several share counts once. Of a single process the kernel itself
//! keeps the peak.

use super::Run;
use crate::process::{Program, family_pss_kib, is_alive};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Longest time until a server is ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
const BETWEEN_SIZES: Duration = Duration::from_millis(50);

/// Of how many processes a server is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Processes {
    One,
    Several,
}

/// What is done with a server while it runs.
pub(super) struct Load<Ready, Work, Check> {
    /// Whether it answers.
    pub(super) is_ready: Ready,
    /// The load.
    pub(super) work: Work,
    /// What it came to.
    pub(super) check: Check,
}

/// Runs `program`, already set up for an allocator whose library is `library`, under `load`; `end` is the
/// signal that ends it in good order.
pub(super) fn under_load(
    program: &Program,
    library: Option<&Path>,
    processes: Processes,
    end: libc::c_int,
    load: Load<
        impl Fn() -> bool + Send,
        impl FnOnce() -> Result<(), String> + Send,
        impl FnOnce() -> Result<String, String> + Send,
    >,
) -> Result<Run, String> {
    let (finished, (wall, pss_kib, result)) = program.serve(end, |pid| {
        wait_until_ready(pid, load.is_ready)?;
        if let Some(library) = library {
            assert_mapped(pid, library)?;
        }
        let start = Instant::now();
        let (done, pss_kib) = watched(pid, load.work);
        let wall = start.elapsed();
        done?;
        Ok((wall, pss_kib, (load.check)()?))
    })?;
    Ok(Run {
        wall_ns: wall.as_nanos() as u64,
        cpu_ns: finished.cpu.as_nanos() as u64,
        peak_rss_kib: match processes {
            Processes::One => finished.peak_rss_kib,
            Processes::Several => pss_kib,
        },
        result,
        parts: BTreeMap::new(),
    })
}

fn wait_until_ready(pid: u32, is_ready: impl Fn() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !is_ready() {
        if !is_alive(pid) {
            return Err("it ended before it was ready".to_owned());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("it is not ready after {PATIENCE:?}"));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// A server that changes its user may not be able to read the library, and then runs without it.
fn assert_mapped(pid: u32, library: &Path) -> Result<(), String> {
    let library = library.canonicalize().map_err(|error| error.to_string())?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    if maps.contains(&*library.to_string_lossy()) {
        Ok(())
    } else {
        Err(format!("it has not mapped {}", library.display()))
    }
}

/// Does `work` and says how large `pid` and what is below it were at most meanwhile.
fn watched<T>(pid: u32, work: impl FnOnce() -> T) -> (T, u64) {
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let watch = scope.spawn(move || {
            let mut most = family_pss_kib(pid);
            while ended.recv_timeout(BETWEEN_SIZES) == Err(mpsc::RecvTimeoutError::Timeout) {
                most = most.max(family_pss_kib(pid));
            }
            most
        });
        let result = work();
        drop(done);
        (result, watch.join().unwrap_or(0))
    })
}
