//! The screen of the comparison: medians side by side, and jemoxide's own figures.

use std::fmt::Write;
use std::time::Duration;

use anstyle::Style;

use crate::compare::{Run, Runs};
use crate::report::Unreadable;
use crate::screen::memory::memory_table;
use crate::screen::numbers::{bytes, count, latency, of_them, seconds};
use crate::screen::style::{FAINT, GOOD, TITLE, WARNING};
use crate::screen::table::{Side, Table};
use crate::workload::Plan;

/// Ratios nearer to 1 than this are noise, and stay without colour.
const NOISE: f64 = 0.02;

/// One measure of a run.
struct Measure {
    name: &'static str,
    of: fn(&Run) -> u64,
    shown: fn(u64) -> String,
    more_is_better: bool,
}

const MEASURES: [Measure; 7] = [
    Measure {
        name: "requests/s",
        of: requests_per_second,
        shown: count,
        more_is_better: true,
    },
    Measure {
        name: "latency, median",
        of: |run| run.outcome.p50_ns,
        shown: latency,
        more_is_better: false,
    },
    Measure {
        name: "latency, 99 %",
        of: |run| run.outcome.p99_ns,
        shown: latency,
        more_is_better: false,
    },
    Measure {
        name: "processor time",
        of: processor_ns,
        shown: time,
        more_is_better: false,
    },
    Measure {
        name: "peak RSS",
        of: peak_rss,
        shown: bytes,
        more_is_better: false,
    },
    Measure {
        name: "RSS, store full",
        of: |run| run.outcome.rss_grown,
        shown: bytes,
        more_is_better: false,
    },
    Measure {
        name: "RSS, shrunk and rested",
        of: |run| run.outcome.rss_rested,
        shown: bytes,
        more_is_better: false,
    },
];

/// The screen.
pub(super) fn text(plan: Plan, runs: &Runs) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "\n{TITLE}A key-value store under load{TITLE:#}: {}, {} a run, {}",
        of_them(plan.threads as u64, "thread", "threads"),
        of_them(
            runs.glibc.first().map_or(0, |run| run.outcome.requests),
            "request",
            "requests"
        ),
        if runs.glibc.len() == 1 {
            "1 run each".to_owned()
        } else {
            format!("medians of {} runs", runs.glibc.len())
        },
    );
    text.push('\n');
    text.push_str(&side_by_side(runs).text(2));
    let _ = writeln!(
        text,
        "\n  {FAINT}The ratio is jemoxide's figure over glibc's. All {} runs ended with equal content.{FAINT:#}",
        runs.glibc.len() + runs.jemoxide.len()
    );
    let last = runs.jemoxide.last().and_then(|run| run.figures.as_ref());
    match last {
        Some(Ok(figures)) => {
            let _ = writeln!(text, "\n{TITLE}jemoxide's own figures{TITLE:#}, last run\n");
            text.push_str(&memory_table(&figures.report).text(2));
        }
        Some(Err(why)) => {
            let _ = writeln!(text, "\n  {WARNING}{}{WARNING:#}", without_figures(why));
        }
        None => {}
    }
    text
}

fn side_by_side(runs: &Runs) -> Table {
    let glibc = format!("glibc {}", glibc_version());
    let mut table = Table::new(&[
        ("", Side::Left),
        (glibc.trim_end(), Side::Right),
        ("jemoxide", Side::Right),
        ("ratio", Side::Right),
    ]);
    for measure in MEASURES {
        let (theirs, ours) = (
            median(&runs.glibc, measure.of),
            median(&runs.jemoxide, measure.of),
        );
        let ratio = ours as f64 / theirs as f64;
        let better = if measure.more_is_better {
            ratio > 1.0
        } else {
            ratio < 1.0
        };
        let style = match better {
            _ if theirs == 0 || (ratio - 1.0).abs() < NOISE => Style::new(),
            true => GOOD,
            false => WARNING,
        };
        let ratio = if theirs == 0 {
            "-".to_owned()
        } else {
            format!("{ratio:.2}")
        };
        table.styled_row([
            (measure.name.to_owned(), FAINT),
            ((measure.shown)(theirs), Style::new()),
            ((measure.shown)(ours), Style::new()),
            (ratio, style),
        ]);
    }
    table
}

fn requests_per_second(run: &Run) -> u64 {
    let busy = run.outcome.busy_ns.max(1) as f64 / 1e9;
    (run.outcome.requests as f64 / busy) as u64
}

fn processor_ns(run: &Run) -> u64 {
    (run.ended.user + run.ended.system).as_nanos() as u64
}

fn time(ns: u64) -> String {
    seconds(Duration::from_nanos(ns))
}

/// The kernel's own mark lags by some pages; the run has looked more closely in between.
fn peak_rss(run: &Run) -> u64 {
    run.ended.peak_rss.max(run.outcome.rss_grown)
}

fn median(runs: &[Run], of: fn(&Run) -> u64) -> u64 {
    let mut values: Vec<u64> = runs.iter().map(of).collect();
    values.sort_unstable();
    match values.len() {
        0 => 0,
        length if length % 2 == 1 => values[length / 2],
        length => values[length / 2 - 1].midpoint(values[length / 2]),
    }
}

fn without_figures(why: &Unreadable) -> String {
    match why {
        Unreadable::OtherLayout(layout) => format!(
            "No figures of its own: the library is of another version (report layout {layout})."
        ),
        Unreadable::Refused(why) => format!("No figures of its own: {why}."),
        _ => "No figures of its own: the library wrote no report.".to_owned(),
    }
}

#[cfg(target_env = "gnu")]
fn glibc_version() -> String {
    // SAFETY: the call takes nothing and returns a static string that ends in NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

#[cfg(not(target_env = "gnu"))]
fn glibc_version() -> String {
    String::new()
}
