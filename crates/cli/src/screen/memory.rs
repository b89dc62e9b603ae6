//! Memory: an allocator's books at their highest and at the end, side by side.

use jemoxide::stats::report::{Report, Snapshot};

use crate::screen::numbers::bytes;
use crate::screen::style::FAINT;
use crate::screen::table::{Side, Table};

/// Allocated, active, dirty and metadata, at peak and at exit.
pub(crate) fn memory_table(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("", Side::Left),
        ("at peak", Side::Right),
        ("at exit", Side::Right),
        ("", Side::Left),
    ]);
    let mut row = |name: &str, of: fn(&Snapshot) -> u64, meaning: &str| {
        table.styled_row([
            (name.to_owned(), FAINT),
            (bytes(of(&report.peak)), Default::default()),
            (bytes(of(&report.now)), Default::default()),
            (meaning.to_owned(), FAINT),
        ]);
    };
    row("allocated", |at| at.allocated, "objects the program holds");
    row("active", |at| at.active, "the pages they lie in");
    row(
        "dirty",
        |at| at.dirty.saturating_add(at.muzzy),
        "idle pages not yet given back",
    );
    row("metadata", |at| at.metadata, "the allocator's own records");
    table
}
