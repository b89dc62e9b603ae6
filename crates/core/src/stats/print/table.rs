//! Table: columns of given widths, headings at their right.
//!
//! A table is one text, `title=width title=width ...`: no addresses that a loader would have to fill in.

use super::output::{Digits, Output};
use super::{Sink, Source};

/// A row on its way, column by column.
pub(super) struct Row<'a, 'b, 't, S> {
    out: &'a mut Output<'b, S>,
    columns: &'t str,
}

fn split(columns: &str) -> (&str, usize, &str) {
    let (column, rest) = columns.split_once(' ').unwrap_or((columns, ""));
    let (title, width) = column.split_once('=').unwrap_or((column, ""));
    (title, width.parse().unwrap_or(0), rest)
}

impl<'a, 'b, 't, S: Sink> Row<'a, 'b, 't, S> {
    pub(super) fn of(out: &'a mut Output<'b, S>, columns: &'t str) -> Self {
        Self { out, columns }
    }

    fn next_width(&mut self) -> usize {
        let (_, width, rest) = split(self.columns);
        self.columns = rest;
        width
    }

    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        let width = self.next_width();
        self.out.right(width, text);
        self
    }

    /// At the left.
    pub(super) fn label(&mut self, text: &[u8]) -> &mut Self {
        let width = self.next_width();
        self.out.left(width, text);
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.text(Digits::of(number).as_bytes())
    }

    /// A count, and how many of it a second.
    pub(super) fn rated(&mut self, count: u64, uptime_ns: u64) -> &mut Self {
        self.number(count).number(per_second(count, uptime_ns))
    }

    pub(super) fn end(&mut self) {
        self.out.byte(b'\n');
    }
}

/// The line of titles, `label` at its left.
pub(super) fn headings<S: Sink>(out: &mut Output<'_, S>, label: &str, columns: &str) {
    titles(out, label, columns);
    out.byte(b'\n');
}

/// The titles without the line's end.
pub(super) fn titles<S: Sink>(out: &mut Output<'_, S>, label: &str, columns: &str) {
    out.text(label);
    let (mut rest, mut taken) = (columns, label.len());
    while !rest.is_empty() {
        let (title, width, more) = split(rest);
        // A title for a blank is none; what stands in front of it takes of its width.
        let title = if title == "_" { "" } else { title };
        out.right(width.saturating_sub(taken), title.as_bytes());
        taken = taken.saturating_sub(width);
        rest = more;
    }
}

/// How many a second `count` are.
pub(super) fn per_second(count: u64, uptime_ns: u64) -> u64 {
    const SECOND_NS: u64 = 1_000_000_000;
    match uptime_ns {
        0 => 0,
        ns if ns < SECOND_NS => count,
        ns => count / (ns / SECOND_NS),
    }
}

/// Prints a line that says that rows of nothing were left out, once for all of a gap.
pub(super) struct Gap(bool);

impl Gap {
    pub(super) const NONE: Self = Self(false);

    /// There is nothing in this row.
    pub(super) fn open(&mut self) {
        self.0 = true;
    }

    /// There is something in the next row, or none follows.
    pub(super) fn close<S: Sink>(&mut self, out: &mut Output<'_, S>) {
        if core::mem::take(&mut self.0) {
            out.text("                     ---\n");
        }
    }
}

impl<S: Source> super::Figures<'_, S> {
    /// The rest of a row: what is counted of a lock.
    pub(super) fn lock<K: Sink>(
        &self,
        row: &mut Row<'_, '_, '_, K>,
        lock: super::Name,
        uptime_ns: u64,
    ) {
        let counts = super::LOCK_COUNTS.split(' ');
        for count in counts {
            let number = self.number(&lock.then(".").then(count));
            match count {
                "max_wait_time" | "max_num_thds" => row.number(number),
                _ => row.rated(number, uptime_ns),
            };
        }
    }
}

/// Columns of a lock.
pub(super) const LOCK: &str = "n_lock_ops=16 (#/sec)=8 n_waiting=16 (#/sec)=8 n_spin_acq=16 (#/sec)=8 \
    n_owner_switch=16 (#/sec)=8 total_wait_ns=16 (#/sec)=10 max_wait_ns=16 max_n_thds=12";
