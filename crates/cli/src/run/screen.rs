//! The screen at a program's end.
//!
//! ```text
//! jemoxide: sort big.txt
//!   exit status 0
//!   time ...                     always there
//!   memory ...
//!             at peak  at exit
//!   allocated ...                if the process left a report; else the reason why not
//!   ...
//!   and 5 more processes ...     if there were any
//! ```

use std::cmp::Reverse;
use std::fmt::Write;

use anstyle::Style;
use jemoxide::size::{SMALL_CLASSES, size_of_class};
use jemoxide::stats::report::{Report, Snapshot};

use super::whereabouts::Whereabouts;
use crate::launch::{Ended, HowEnded};
use crate::report::{Figures, Others};
use crate::screen::memory::memory_table;
use crate::screen::numbers::{bytes, count, exact_bytes, of_them, seconds, share};
use crate::screen::paragraph::paragraph;
use crate::screen::style::{FAINT, TITLE, WARNING};
use crate::screen::table::{Side, Table};
use crate::screen::{WIDTH, fitted};

/// Rows of the table of size classes.
const CLASSES_SHOWN: usize = 8;
const INDENT: usize = 2;

/// All that the screen tells.
pub(crate) struct Shown<'a> {
    pub(crate) command_line: &'a str,
    pub(crate) ended: &'a Ended,
    /// The child's report, or the sentence that says why there is none.
    pub(crate) memory: &'a Result<Figures, String>,
    pub(crate) others: Others,
    pub(crate) whereabouts: Whereabouts,
}

impl Shown<'_> {
    /// The screen, in at most 80 columns.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("\n");
        let name = fitted(self.command_line, WIDTH - "jemoxide: ".len());
        line(&mut text, 0, &format!("{TITLE}jemoxide: {name}{TITLE:#}"));
        self.process(&mut text);
        match self.memory {
            Ok(figures) => {
                allocator(&mut text, &figures.report, &self.whereabouts);
                notes(&mut text, figures, self.ended.how);
            }
            Err(reason) => {
                text.push('\n');
                let reason = format!("No allocator figures. {reason}");
                text.push_str(&paragraph(&reason, WARNING));
            }
        }
        others(&mut text, self.others);
        text
    }

    /// The figures for other programs: sizes in bytes, times in seconds.
    pub(crate) fn json(&self) -> serde_json::Value {
        let ended = self.ended;
        let (status, signal) = match ended.how {
            HowEnded::Exit(code) => (Some(code), None),
            HowEnded::Signal { number, .. } => (None, Some(number)),
        };
        let heap = match self.memory {
            Ok(figures) => {
                let report = &figures.report;
                let counted = |number| (report.counting == 1).then_some(number);
                serde_json::json!({
                    "allocated_at_peak": report.peak.allocated,
                    "allocated": report.now.allocated,
                    "active_at_peak": report.peak.active,
                    "active": report.now.active,
                    "allocations": counted(report.now.allocations),
                    "frees": counted(report.now.frees),
                })
            }
            Err(reason) => serde_json::json!({ "missing": reason }),
        };
        serde_json::json!({
            "command": self.command_line,
            "exit_status": status,
            "signal": signal,
            "wall_s": ended.wall.as_secs_f64(),
            "user_s": ended.user.as_secs_f64(),
            "system_s": ended.system.as_secs_f64(),
            "peak_rss": ended.peak_rss,
            "heap": heap,
            "rss": self.whereabouts.json(),
        })
    }

    fn process(&self, text: &mut String) {
        let ended = self.ended;
        let mut rows = Table::new(&[("", Side::Left), ("", Side::Left)]);
        let style = if ended.how == HowEnded::Exit(0) {
            FAINT
        } else {
            WARNING
        };
        rows.styled_row([("ended".to_owned(), FAINT), (end(ended.how), style)]);
        let time = format!(
            "{}  ({} user, {} system)",
            seconds(ended.wall),
            seconds(ended.user),
            seconds(ended.system)
        );
        rows.styled_row([("time".to_owned(), FAINT), (time, Default::default())]);
        let (soft, hard) = ended.faults;
        let faults = match hard {
            0 => of_them(soft, "page fault", "page faults"),
            _ => format!(
                "{}, {} from disk",
                of_them(soft, "page fault", "page faults"),
                count(hard)
            ),
        };
        let rss = format!("{}  ({faults})", bytes(ended.peak_rss));
        rows.styled_row([("peak RSS".to_owned(), FAINT), (rss, Default::default())]);
        text.push_str(&rows.text(INDENT));
    }
}

fn allocator(text: &mut String, report: &Report, whereabouts: &Whereabouts) {
    text.push('\n');
    text.push_str(&memory_table(report).text(INDENT));
    text.push('\n');
    text.push_str(&paragraph(&calls(report), Style::new()));
    let places = whereabouts.text();
    if !places.is_empty() {
        text.push('\n');
        text.push_str(&places);
    }
    let classes = class_table(&report.peak);
    if !classes.is_empty() {
        text.push('\n');
        text.push_str(&classes);
    }
}

fn calls(report: &Report) -> String {
    if report.counting != 1 {
        return "Calls were not counted; leave out --no-count to see how many.".to_owned();
    }
    let (made, freed) = (report.now.allocations, report.now.frees);
    let left = match made.saturating_sub(freed) {
        0 => "all freed".to_owned(),
        left => format!("{} not freed", count(left)),
    };
    format!(
        "{}, {} ({left})",
        of_them(made, "allocation", "allocations"),
        of_them(freed, "free", "frees")
    )
}

fn class_table(peak: &Snapshot) -> String {
    let mut classes: Vec<(usize, u64)> = peak
        .class_bytes
        .iter()
        .copied()
        .enumerate()
        .filter(|&(_, bytes)| bytes > 0)
        .collect();
    let whole = classes
        .iter()
        .fold(0u64, |sum, &(_, bytes)| sum.saturating_add(bytes));
    // A stable sort: classes of equal weight stay in the order of their size.
    classes.sort_by_key(|&(_, bytes)| Reverse(bytes));
    let rest = classes.len().saturating_sub(CLASSES_SHOWN);
    classes.truncate(CLASSES_SHOWN);
    if classes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("largest at peak", Side::Right),
        ("objects", Side::Right),
        ("bytes", Side::Right),
        ("share", Side::Right),
    ]);
    for (class, held) in classes {
        let size = size_of_class(class) as u64;
        // Large objects are rounded to pages, not to their class: only an estimate is possible.
        let (size_shown, objects) = if class < SMALL_CLASSES {
            (exact_bytes(size), count(held / size))
        } else {
            (
                format!("up to {}", exact_bytes(size)),
                format!("about {}", count(held.div_ceil(size))),
            )
        };
        table.row([size_shown, objects, bytes(held), share(held, whole)]);
    }
    let mut text = table.text(INDENT);
    if rest > 0 {
        let rest = of_them(rest as u64, "smaller size class", "smaller ones");
        line(&mut text, INDENT, &format!("{FAINT}and {rest}{FAINT:#}"));
    }
    text
}

fn notes(text: &mut String, figures: &Figures, how: HowEnded) {
    if !figures.settled {
        text.push_str(&paragraph(
            "The process ended while it was writing its figures; they may not fit together.",
            WARNING,
        ));
    } else if figures.report.exited != 1 && matches!(how, HowEnded::Exit(_)) {
        text.push_str(&paragraph(
            "The process left without the usual clean-up (_exit); `at exit` is a little older.",
            WARNING,
        ));
    }
}

fn others(text: &mut String, others: Others) {
    if others.processes == 0 {
        return;
    }
    let mut told = format!(
        "and {}: peaks of {} active together",
        of_them(others.processes, "more process", "more processes"),
        bytes(others.peak_active)
    );
    if let Some(allocations) = others.allocations {
        let _ = write!(
            told,
            ", {}",
            of_them(allocations, "allocation", "allocations")
        );
    }
    if others.still_running > 0 {
        let _ = write!(told, " ({} still running)", count(others.still_running));
    }
    text.push('\n');
    text.push_str(&paragraph(&told, Style::new()));
}

fn end(how: HowEnded) -> String {
    match how {
        HowEnded::Exit(code) => format!("exit status {code}"),
        HowEnded::Signal {
            number,
            dumped_core,
        } => {
            let core = if dumped_core { ", core dumped" } else { "" };
            format!("killed by signal {number} ({}){core}", signal_name(number))
        }
    }
}

fn signal_name(number: u8) -> &'static str {
    const NAMES: [(i32, &str); 16] = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
    ];
    NAMES
        .iter()
        .find(|(each, _)| *each == i32::from(number))
        .map_or("see `kill -l`", |(_, name)| name)
}

fn line(text: &mut String, indent: usize, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:indent$}{content}", "");
}

#[cfg(test)]
mod tests;
