//! The screen of the comparison: medians side by side, and jemoxide's own figures.

use std::time::Duration;

use anstyle::Style;

use crate::compare::{Run, Runs};
use crate::report::Unreadable;
use crate::screen::memory::memory_table;
use crate::screen::numbers::{bytes, count, latency, of_them, seconds};
use crate::screen::paragraph::paragraph;
use crate::screen::style::{FAINT, GOOD, TITLE, WARNING};
use crate::screen::table::{Side, Table};
use crate::workload::Plan;

/// Ratios nearer to 1 than this are noise, and stay without colour.
const NOISE: f64 = 0.02;

/// Percent by which runs may differ before the screen warns.
const UNREST: u64 = 20;

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
    let requests = runs.glibc.first().map_or(0, |run| run.outcome.requests);
    let mut text = format!("\n{TITLE}A key-value store under load{TITLE:#}\n");
    let what = format!(
        "{}, {} a run, {}",
        of_them(plan.threads as u64, "thread", "threads"),
        of_them(requests, "request", "requests"),
        match runs.glibc.len() {
            1 => "one run each".to_owned(),
            rounds => format!("medians of {rounds} runs each"),
        },
    );
    text.push_str(&paragraph(&what, FAINT));
    text.push('\n');
    text.push_str(&side_by_side(runs).text(2));
    text.push('\n');
    let checked = format!(
        "The ratio is jemoxide's figure over glibc's. All {} runs ended with equal content.",
        runs.glibc.len() + runs.jemoxide.len()
    );
    text.push_str(&paragraph(&checked, FAINT));
    if let Some(percent) = unrest(runs) {
        let busy = format!(
            "Runs on the same allocator differ by up to {percent} % in requests/s: the machine is busy \
             with other things. Memory and processor time say more here."
        );
        text.push_str(&paragraph(&busy, WARNING));
    }
    text.push_str(&own_figures(runs));
    text
}

fn own_figures(runs: &Runs) -> String {
    match runs.jemoxide.last().and_then(|run| run.figures.as_ref()) {
        Some(Ok(figures)) => {
            let table = memory_table(&figures.report).text(2);
            format!("\n{TITLE}jemoxide's own figures{TITLE:#}, last run\n\n{table}")
        }
        Some(Err(why)) => format!("\n{}", paragraph(&without_figures(why), WARNING)),
        None => String::new(),
    }
}

/// How far the runs on one allocator lie apart, in percent, if that is too far to compare speed.
fn unrest(runs: &Runs) -> Option<u64> {
    let spread = |runs: &[Run]| {
        let rates = || runs.iter().map(requests_per_second);
        let (least, most) = (
            rates().min().unwrap_or(1).max(1),
            rates().max().unwrap_or(1),
        );
        most.saturating_sub(least).saturating_mul(100) / least
    };
    Some(spread(&runs.glibc).max(spread(&runs.jemoxide))).filter(|&percent| percent > UNREST)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::check::tests::run;
    use crate::screen::assert_fits;
    use anstream::adapter::strip_str;

    const PLAN: Plan = Plan {
        threads: 8,
        keys: 1,
        requests: 1,
        seed: 1,
        rest_ms: 1,
    };

    fn runs(glibc: &[u64], jemoxide: &[u64]) -> Runs {
        let of = |seconds: &[u64]| {
            let each = seconds.iter().map(|seconds| {
                let mut run = run("");
                run.outcome.requests = 12_000_000;
                run.outcome.busy_ns = seconds * 1_000_000_000;
                run
            });
            each.collect()
        };
        Runs {
            glibc: of(glibc),
            jemoxide: of(jemoxide),
        }
    }

    fn shown(runs: &Runs) -> String {
        let text = text(PLAN, runs);
        assert_fits(&text);
        strip_str(&text).to_string()
    }

    #[test]
    fn medians_stand_side_by_side() {
        let text = shown(&runs(&[4, 4, 4], &[3, 3, 3]));
        assert!(text.contains("3,000,000  4,000,000   1.33"), "{text}");
        assert!(
            text.contains("medians of 3 runs each") && !text.contains("busy"),
            "{text}"
        );
        assert!(shown(&runs(&[4], &[4])).contains("one run each"));
    }

    #[test]
    fn runs_far_apart_are_told() {
        let text = shown(&runs(&[4, 4, 8], &[3, 3, 3]));
        assert!(text.contains("differ by up to 100 %"), "{text}");
    }

    #[test]
    fn the_median_of_even_and_odd_numbers() {
        let at = |seconds: &[u64]| {
            median(&runs(seconds, &[]).glibc, |run| {
                run.outcome.busy_ns / 1_000_000_000
            })
        };
        assert_eq!((at(&[5, 1, 3]), at(&[4, 2]), at(&[])), (3, 3, 0));
    }
}
