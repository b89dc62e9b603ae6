//! Idle threads: thousands that have used the allocator and sleep.

use super::block::{Block, SMALLEST};
use super::{figures, process_time};
use crate::process::resident_kib;
use crate::scale::Figures;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Sizes that each thread uses once.
const SIZES: usize = 64;
/// Bytes of a thread's stack.
const STACK: usize = 64 << 10;
/// Threads that come and go beside those that idle.
const MORE: usize = 100;

/// Where the threads sleep.
#[derive(Default)]
struct Sleep {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    asleep: usize,
    end: bool,
}

pub(super) fn run(threads: usize) -> Result<Figures, String> {
    let sleep = Arc::new(Sleep::default());
    let mut running: Vec<JoinHandle<()>> = Vec::with_capacity(threads);
    // One beforehand, so that what happens once in a process is not counted.
    spawn(use_all_sizes)?
        .join()
        .map_err(|_| "a thread failed")?;
    let before = resident()?;
    let begun = process_time();
    for _ in 0..threads {
        let sleep = Arc::clone(&sleep);
        let thread = spawn(move || {
            use_all_sizes();
            sleep.until_end();
        });
        running.push(thread.map_err(|error| format!("after {} threads: {error}", running.len()))?);
    }
    sleep.until_asleep(threads);
    let start = process_time() - begun;
    let rss = resident()?.saturating_sub(before);

    let begun = process_time();
    for _ in 0..MORE {
        spawn(use_all_sizes)?
            .join()
            .map_err(|_| "a thread failed")?;
    }
    let one_more = process_time() - begun;

    let begun = process_time();
    sleep.end();
    for thread in running {
        thread.join().map_err(|_| "a thread failed")?;
    }
    let end = process_time() - begun;
    let each = |time: Duration, count: usize| time.as_nanos() as f64 / count as f64;
    Ok(figures([
        ("start", each(start, threads)),
        ("one_more", each(one_more, MORE)),
        ("end", each(end, threads)),
        ("rss", rss as f64 / threads as f64),
    ]))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let thread = Builder::new().stack_size(STACK).spawn(work);
    thread.map_err(|error| format!("this machine starts no more threads: {error}"))
}

fn resident() -> Result<u64, String> {
    resident_kib(std::process::id())
        .ok_or_else(|| "/proc does not tell the resident size".to_owned())
}

fn use_all_sizes() {
    for step in 1..=SIZES {
        drop(Block::new(SMALLEST * step));
    }
}

impl Sleep {
    fn until_end(&self) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        state.asleep += 1;
        self.changed.notify_all();
        let _end = self.changed.wait_while(state, |state| !state.end);
    }

    fn until_asleep(&self, threads: usize) {
        if let Ok(state) = self.state.lock() {
            let _all = self
                .changed
                .wait_while(state, |state| state.asleep < threads);
        }
    }

    fn end(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.end = true;
            self.changed.notify_all();
        }
    }
}
