//! Plain: a line a period, for pipes and files.

use std::thread;
use std::time::Duration;

use super::watch::Watch;
use crate::failure::Failure;
use crate::screen::numbers::bytes;
use crate::screen::output::print;
use crate::stats::sampling;

const TITLES: &str =
    "     time    resident   allocated      active       dirty    purged/s  allocs/s\n";
const STEP: Duration = Duration::from_millis(50);

/// Prints `count` lines, or as many as the process lives.
pub(super) fn run(watch: &mut Watch, count: Option<u64>) -> Result<(), Failure> {
    let title = format!(
        "jemoxide top: {}, {}\n",
        watch.title,
        sampling(&watch.figures)
    );
    print(&(title + TITLES))?;
    let mut printed = 0;
    while count.is_none_or(|count| printed < count) {
        thread::sleep(STEP);
        let points = watch.history.back().copied();
        watch.step();
        if watch.has_ended {
            return print("the process has ended\n");
        }
        if watch.history.back().copied() != points {
            printed += 1;
            print(&line(watch))?;
        }
    }
    Ok(())
}

fn line(watch: &Watch) -> String {
    let at = watch.history.back().map_or(0.0, |point| point.at);
    let books = &watch.figures.now;
    let silent = if watch.is_silent { "  no news" } else { "" };
    format!(
        "{at:>7.1} s {:>11} {:>11} {:>11} {:>11} {:>11} {:>9.0}{silent}\n",
        bytes(watch.figures.resident),
        bytes(books.allocated),
        bytes(books.active),
        bytes(books.dirty.saturating_add(books.muzzy)),
        bytes(watch.rates.purged as u64),
        watch.rates.allocations,
    )
}
