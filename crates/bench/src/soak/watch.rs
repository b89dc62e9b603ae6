//! Watch: one entrant's process through all its days, looked at ten times a second.
//!
//! The program shares a page with us (rule D3 of `day.c`): live bytes and RSS are read at the same moment.

use super::Load;
use super::entrants::Entrant;
use crate::process::{self, Program};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of the shared page, and of one line of it.
const PAGE: usize = 4096;
const LINE: usize = 64;

/// Places in the first line.
const PHASE: usize = 0;
const DAY: usize = 1;
const DONE: usize = 2;
const LATE_MS: usize = 3;
const OPERATIONS: usize = 4;

/// Time that a load may take beyond its schedule.
const GRACE: Duration = Duration::from_secs(120);

/// One look.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) ms: u64,
    /// Index into [`super::PHASES`].
    pub(super) phase: usize,
    pub(super) day: usize,
    /// Bytes requested and not freed.
    pub(super) live: u64,
    pub(super) rss_kib: u64,
    pub(super) pss_kib: u64,
    /// Part of the RSS that the kernel may take back without asking (`MADV_FREE`).
    pub(super) lazy_kib: u64,
    /// User and system time so far.
    pub(super) cpu_ms: u64,
}

/// What was seen of one process.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Watched {
    pub(super) samples: Vec<Sample>,
    /// User and system time of the whole life.
    pub(super) cpu_s: f64,
    pub(super) peak_rss_kib: u64,
    /// How far the load was behind its schedule at worst.
    pub(super) late_ms: u64,
    pub(super) operations: u64,
    /// What it wrote to standard error.
    pub(super) stderr: String,
    /// Names of the threads that were seen.
    pub(super) threads: Vec<String>,
}

/// The page that the program shares with us; the file goes with it.
struct Shared {
    path: PathBuf,
    file: fs::File,
}

impl Shared {
    fn new(dir: &Path) -> std::io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("soak-{}-{number}.page", std::process::id()));
        fs::write(&path, [0; PAGE])?;
        let file = fs::File::open(&path)?;
        Ok(Self { path, file })
    }

    /// The numbers of the page.
    fn read(&self) -> std::io::Result<Vec<u64>> {
        let mut bytes = [0; PAGE];
        self.file.read_exact_at(&mut bytes, 0)?;
        let numbers = bytes.chunks_exact(size_of::<u64>());
        Ok(numbers
            .map(|number| number.try_into().map_or(0, u64::from_le_bytes))
            .collect())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // What is left over lies in the target folder.
        let _ = fs::remove_file(&self.path);
    }
}

/// Live bytes: all lines but the first, negative ones included.
fn live(page: &[u64]) -> u64 {
    let lines = page.iter().step_by(LINE / size_of::<u64>()).skip(1);
    let sum = lines.fold(0_u64, |sum, &line| sum.wrapping_add(line));
    u64::try_from(sum as i64).unwrap_or(0)
}

/// Runs the load `program` as `entrant` to its end; shared page and such go to `dir`.
pub(super) fn watch(
    entrant: &Entrant,
    program: &Path,
    dir: &Path,
    load: Load,
) -> Result<Watched, String> {
    let shared = Shared::new(dir).map_err(|error| format!("the shared page: {error}"))?;
    let days = u64::from(load.days);
    let schedule = days * (u64::from(load.pace) * 450 + u64::from(load.night_ms));
    let program = Program::new(program)
        .arg(&shared.path)
        .args([load.days, load.pace, load.night_ms, load.size].map(|number| number.to_string()))
        .deadline(Duration::from_millis(schedule) + GRACE);
    // Signal 0 is none: the load ends by itself.
    let (finished, (samples, threads)) = entrant
        .run_on(program)
        .serve(0, |pid| sample(pid, &shared))?;
    let page = shared.read().map_err(|error| error.to_string())?;
    Ok(Watched {
        samples,
        cpu_s: finished.cpu.as_secs_f64(),
        peak_rss_kib: finished.peak_rss_kib,
        late_ms: page[LATE_MS],
        operations: page[OPERATIONS],
        stderr: finished.stderr,
        threads,
    })
}

fn sample(pid: u32, shared: &Shared) -> Result<(Vec<Sample>, Vec<String>), String> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut threads: Vec<String> = Vec::new();
    loop {
        let next = start + INTERVAL * (samples.len() as u32 + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let page = shared.read().map_err(|error| error.to_string())?;
        let memory = process::rollup(pid).filter(|_| process::is_alive(pid));
        // Asked last: who has gone by now may have been done before.
        let is_done = shared.read().map_err(|error| error.to_string())?[DONE] != 0;
        if is_done {
            return Ok((samples, threads));
        }
        let memory = memory.ok_or("it ended before its days were over")?;
        for thread in process::thread_names(pid) {
            if !threads.contains(&thread) {
                threads.push(thread);
            }
        }
        samples.push(Sample {
            ms: start.elapsed().as_millis() as u64,
            phase: page[PHASE] as usize,
            day: page[DAY] as usize,
            live: live(&page),
            rss_kib: memory.rss_kib,
            pss_kib: memory.pss_kib,
            lazy_kib: memory.lazy_kib,
            cpu_ms: process::cpu_ms(pid).unwrap_or(0),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Shared, live};

    #[test]
    fn lines_add_up_and_may_be_negative() {
        let dir = std::env::temp_dir();
        let shared = Shared::new(&dir).unwrap();
        let mut page = shared.read().unwrap();
        assert_eq!((page.len(), live(&page)), (512, 0));
        page[0] = 77;
        page[8] = 100;
        page[16] = (-30_i64) as u64;
        page[17] = 5;
        assert_eq!(live(&page), 70);
        page[8] = 10;
        assert_eq!(live(&page), 0);
    }
}
