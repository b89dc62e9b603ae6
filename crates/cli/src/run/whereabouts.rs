//! Whereabouts: where the memory was, line by line: at its peak, and at exit.
//!
//! At exit the process itself asked the system about every page. At its peak there are its books, and what was seen
//! from outside: which memory others mapped cannot be told then, and is in the remainder.

use std::fmt::Write;

use anstyle::Style;
use jemoxide::RssReport;
use jemoxide::stats::report::{Report, Snapshot};
use jemoxide::stats::rss::Part;

use super::watch::View;
use crate::screen::numbers::{bytes, share};
use crate::screen::paragraph::paragraph;
use crate::screen::style::FAINT;
use crate::screen::table::{Side, Table};

/// What the column of the peak is put together from.
const MOMENTS: &str = "At peak: the allocator's lines when it held most, the others and resident when they were \
    seen highest, which need not be one moment; shares are of that resident.";

/// Cells of the longest bar.
const BAR: u64 = 14;
const INDENT: usize = 2;

/// Both reports; `None` where nothing was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whereabouts {
    pub(crate) at_peak: Option<RssReport>,
    pub(crate) at_exit: Option<RssReport>,
}

impl Whereabouts {
    /// What a process's report and a look from outside tell. Of one that was largest at its end, the exact look at exit is
    /// the peak's, too.
    pub(crate) fn of(report: &Report, seen: Option<View>) -> Self {
        Self::of_both(&report.peak, report.rss, seen)
    }

    fn of_both(peak: &Snapshot, exit: RssReport, seen: Option<View>) -> Self {
        let higher = seen.filter(|seen| seen.rss > exit.rss);
        Self {
            at_peak: higher.map(|view| at_peak(peak, view)),
            at_exit: (exit.rss > 0).then_some(exit),
        }
    }

    /// The table and a sentence about it; empty where nothing was seen.
    pub(crate) fn text(&self) -> String {
        let (Some(shown), sides) = (self.at_peak.or(self.at_exit), [self.at_peak, self.at_exit])
        else {
            return String::new();
        };
        let titles = ["at peak", "at exit"];
        let first = usize::from(self.at_peak.is_none());
        let second = sides[1].filter(|_| first == 0);
        let mut table = Table::new(&[
            ("where the memory was", Side::Left),
            (titles[first], Side::Right),
            ("share", Side::Right),
            ("", Side::Left),
            (if second.is_some() { titles[1] } else { "" }, Side::Right),
        ]);
        for part in Part::ALL {
            let (number, other) = (shown.bytes(part), second.map(|at| at.bytes(part)));
            if number.max(other.unwrap_or(0)) > 0 {
                row(
                    &mut table,
                    part.title(),
                    signed(number),
                    &shown,
                    other.map(signed),
                );
            }
        }
        let rest = if self.at_peak.is_some() {
            "others' or not explained"
        } else {
            "not explained"
        };
        let other = second.map(|at| i128::from(at.unexplained));
        row(&mut table, rest, shown.unexplained.into(), &shown, other);
        row(
            &mut table,
            "resident",
            signed(shown.rss),
            &shown,
            second.map(|at| signed(at.rss)),
        );
        let mut text = table.text(INDENT);
        if self.at_peak.is_some() {
            text.push_str(&paragraph(MOMENTS, FAINT));
        }
        text.push_str(&paragraph(&advice(sides), FAINT));
        text
    }

    /// The same for other programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let value = |report: Option<RssReport>| {
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = report.map(|report| report.write_json(&mut text));
            serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
        };
        serde_json::json!({ "at_peak": value(self.at_peak), "at_exit": value(self.at_exit) })
    }
}

fn signed(number: u64) -> i128 {
    number.into()
}

fn row(table: &mut Table, title: &str, number: i128, of: &RssReport, other: Option<i128>) {
    let positive = u64::try_from(number).unwrap_or(0);
    // Of another moment than the whole, and larger.
    let share = if number < 0 || positive / 10 > of.rss {
        "-".to_owned()
    } else {
        share(positive, of.rss)
    };
    let cells = (u128::from(positive) * u128::from(BAR)).div_ceil(u128::from(of.rss.max(1)));
    let visible = u128::from(positive) * 100 >= u128::from(of.rss);
    let bar = if title == "resident" || !visible {
        String::new()
    } else {
        "#".repeat(cells.min(u128::from(BAR)) as usize)
    };
    table.styled_row([
        (title.to_owned(), FAINT),
        (signed_bytes(number), Style::new()),
        (share, Style::new()),
        (bar, Style::new()),
        (other.map_or_else(String::new, signed_bytes), Style::new()),
    ]);
}

fn signed_bytes(number: i128) -> String {
    let size = bytes(u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX));
    if number < 0 { format!("-{size}") } else { size }
}

/// What is worth doing, in a sentence.
fn advice(sides: [Option<RssReport>; 2]) -> String {
    let worst = sides
        .into_iter()
        .zip(["at peak", "at exit"])
        .filter_map(|(report, when)| {
            let report = report?;
            let part = report.largest_avoidable()?;
            Some((report.bytes(part), part, when))
        })
        .max_by_key(|&(bytes, ..)| bytes);
    let mut text = match worst {
        Some((size, part, when)) => format!(
            "The largest part that could be smaller: {}, {} {when}; {}.",
            part.title(),
            bytes(size),
            part.cure().unwrap_or_default()
        ),
        None => "Nothing of it that the allocator could give back is worth a setting.".to_owned(),
    };
    if let Some(peak) = sides[0].filter(|peak| peak.unexplained < 0) {
        let more = bytes(peak.unexplained.unsigned_abs());
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            " {more} of the lines at peak had no memory: they were never written, or counted at another moment."
        );
    }
    text
}

/// The books at the peak, against the resident set that was seen.
fn at_peak(books: &Snapshot, seen: View) -> RssReport {
    let mut report = RssReport {
        rss: seen.rss,
        live: books.allocated,
        internal_slack: books.internal_slack,
        free_slots: books.free_slots,
        thread_caches: books.thread_caches,
        depot: books.depot,
        run_cache: books.run_cache,
        dirty: books.dirty.saturating_sub(books.run_cache),
        muzzy: books.muzzy,
        metadata: books.metadata,
        stacks: seen.stacks,
        files: seen.files,
        slots_untouched: books.hollow,
        retained: books.retained,
        ..RssReport::default()
    };
    report.balance();
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::assert_fits;
    use anstream::adapter::strip_str;

    fn exit() -> RssReport {
        let mut report = RssReport {
            rss: 100 << 20,
            live: 50 << 20,
            dirty: 40 << 20,
            files: 9 << 20,
            is_measured: 1,
            is_divided: 1,
            ..RssReport::default()
        };
        report.balance();
        report
    }

    #[test]
    fn lines_that_hold_something_are_shown_with_their_share() {
        let both = Whereabouts {
            at_peak: Some(RssReport {
                rss: 200 << 20,
                ..exit()
            }),
            at_exit: Some(exit()),
        };
        let text = both.text();
        assert_fits(&text);
        let text = strip_str(&text).to_string();
        for part in [
            "at peak",
            "at exit",
            "live objects",
            "25.0 %",
            "dirty pages",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("muzzy"), "{text}");
        assert!(text.contains("smaller: dirty pages, 40.0 MiB at"), "{text}");
    }

    #[test]
    fn one_side_alone_and_none() {
        let exit = Whereabouts {
            at_peak: None,
            at_exit: Some(exit()),
        };
        let text = strip_str(&exit.text()).to_string();
        assert!(
            text.contains("at exit") && !text.contains("at peak"),
            "{text}"
        );
        assert_eq!(Whereabouts::default().text(), "");
    }

    #[test]
    fn a_process_that_ends_at_its_peak_has_one_column() {
        let view = |rss| View {
            rss,
            ..View::default()
        };
        let of = |rss| Whereabouts::of_both(&Snapshot::ZERO, exit(), Some(view(rss)));
        assert!(of(90 << 20).at_peak.is_none());
        assert!(of(110 << 20).at_peak.is_some());
        let text = strip_str(&of(90 << 20).text()).to_string();
        assert!(!text.contains("need not be one moment"), "{text}");
    }

    #[test]
    fn extreme_figures_fit() {
        let mut books = Snapshot::ZERO;
        (books.allocated, books.dirty, books.metadata) = (u64::MAX, u64::MAX, u64::MAX);
        let view = View {
            rss: 1,
            stacks: u64::MAX,
            files: u64::MAX,
        };
        let mut wild = exit();
        (wild.rss, wild.unexplained) = (u64::MAX, i64::MIN);
        for at_exit in [None, Some(wild)] {
            let both = Whereabouts {
                at_peak: Some(at_peak(&books, view)),
                at_exit,
            };
            assert_fits(&both.text());
        }
    }

    #[test]
    fn json_has_both_sides() {
        let both = Whereabouts {
            at_peak: None,
            at_exit: Some(exit()),
        };
        let json = both.json();
        assert!(json["at_peak"].is_null());
        assert_eq!(json["at_exit"]["dirty"], 40 << 20);
    }
}
