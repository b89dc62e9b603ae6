//! Text: a process's figures as one screen, and as JSON.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::Duration;

use anstyle::Style;
use jemoxide::RssReport;
use jemoxide::size::{SMALL_CLASSES, size_of_class};
use jemoxide::stats::live::{Arena, Figures, profiling};
use jemoxide::stats::report::Snapshot;
use jemoxide::stats::rss::Part;
use serde_json::{Value, json};

use crate::screen::numbers::{bytes, count, exact_bytes, of_them, share};
use crate::screen::paragraph::paragraph;
use crate::screen::style::{FAINT, TITLE, WARNING};
use crate::screen::table::{Side, Table};
use crate::screen::{WIDTH, fitted};

/// Rows of the tables of size classes and arenas.
const ROWS: usize = 10;
const INDENT: usize = 2;

/// All of it, in at most 80 columns.
pub(super) fn screen(title: &str, figures: &Figures, answered: bool) -> String {
    let mut text = String::new();
    let title = fitted(title, WIDTH - "jemoxide: ".len());
    line(&mut text, &format!("{TITLE}jemoxide: {title}{TITLE:#}"));
    let up = time(figures.uptime_ns);
    let threads = of_them(
        figures.threads,
        "thread that allocates",
        "threads that allocate",
    );
    let state = format!("  up {up}, {threads}, {}", sampling(figures));
    line(&mut text, &fitted(&state, WIDTH));
    if !answered {
        text.push_str(&paragraph(
            "The process did not answer: it has ended or is stopped. These are its last figures.",
            WARNING,
        ));
    }
    let parts = [
        books(&figures.now, &figures.peak),
        resident(&figures.rss),
        arenas(figures),
        classes(figures),
        purges(figures),
    ];
    for part in parts.iter().filter(|part| !part.is_empty()) {
        text.push('\n');
        text.push_str(part);
    }
    text
}

/// The books now and at their highest.
pub(super) fn books(now: &Snapshot, peak: &Snapshot) -> String {
    let mut table = Table::new(&[
        ("", Side::Left),
        ("now", Side::Right),
        ("at peak", Side::Right),
        ("", Side::Left),
    ]);
    type Field = fn(&Snapshot) -> u64;
    let rows: [(&str, Field, &str); 6] = [
        ("allocated", |at| at.allocated, "objects the program holds"),
        ("active", |at| at.active, "the pages they lie in"),
        ("dirty", |at| at.dirty, "idle pages not yet given back"),
        ("muzzy", |at| at.muzzy, "idle pages the system may take"),
        (
            "retained",
            |at| at.retained,
            "addresses kept without memory",
        ),
        ("metadata", |at| at.metadata, "the allocator's own records"),
    ];
    for (name, of, meaning) in rows {
        table.styled_row([
            (name.to_owned(), FAINT),
            (bytes(of(now)), Style::new()),
            (bytes(of(peak)), Style::new()),
            (meaning.to_owned(), FAINT),
        ]);
    }
    table.text(INDENT)
}

/// The resident set, line by line; empty where it was not taken.
pub(super) fn resident(rss: &RssReport) -> String {
    if rss.rss == 0 {
        return String::new();
    }
    let mut table = Table::new(&[
        ("where the memory is", Side::Left),
        ("bytes", Side::Right),
        ("share", Side::Right),
    ]);
    for (title, bytes, share) in resident_rows(rss) {
        table.styled_row([
            (title.to_owned(), FAINT),
            (bytes, Style::new()),
            (share, Style::new()),
        ]);
    }
    table.text(INDENT)
}

/// The lines of the resident set that hold something: what it is, bytes, share.
fn resident_rows(rss: &RssReport) -> Vec<(&'static str, String, String)> {
    let mut rows: Vec<_> = Part::ALL
        .into_iter()
        .filter(|&part| rss.bytes(part) > 0)
        .map(|part| {
            let number = rss.bytes(part);
            (part.title(), bytes(number), share(number, rss.rss))
        })
        .collect();
    let rest = bytes(rss.unexplained.unsigned_abs());
    let sign = if rss.unexplained < 0 { "-" } else { "" };
    rows.push(("not explained", format!("{sign}{rest}"), String::new()));
    rows.push(("resident", bytes(rss.rss), String::new()));
    rows
}

/// The name of an arena.
pub(crate) fn arena_name(arena: &Arena) -> String {
    let index = arena.number.saturating_sub(1);
    if arena.by_request == 1 {
        format!("{index} by request")
    } else {
        format!("{index}")
    }
}

fn arenas(figures: &Figures) -> String {
    let used: Vec<_> = figures
        .arenas
        .iter()
        .filter(|arena| arena.number != 0)
        .collect();
    if used.len() < 2 {
        return String::new();
    }
    let mut table = Table::new(&[
        ("arena", Side::Left),
        ("threads", Side::Right),
        ("small", Side::Right),
        ("large", Side::Right),
        ("slabs", Side::Right),
    ]);
    for arena in used.iter().take(ROWS) {
        table.row([
            arena_name(arena),
            count(arena.threads),
            bytes(arena.small),
            bytes(arena.large),
            count(arena.slabs),
        ]);
    }
    let mut text = table.text(INDENT);
    let all = figures
        .arenas_automatic
        .saturating_add(figures.arenas_by_request);
    let rest = all.saturating_sub(used.len().min(ROWS) as u64);
    if rest > 0 {
        let rest = of_them(rest, "more arena", "more arenas");
        line(&mut text, &format!("  {FAINT}and {rest}{FAINT:#}"));
    }
    text
}

/// Size classes by the bytes that the program holds in them, largest first: size, objects, bytes, free bytes in slabs.
pub(crate) fn class_rows(figures: &Figures) -> Vec<[String; 4]> {
    let mut classes: Vec<_> = figures
        .now
        .class_bytes
        .iter()
        .copied()
        .enumerate()
        .filter(|&(_, bytes)| bytes > 0)
        .collect();
    classes.sort_by_key(|&(_, bytes)| Reverse(bytes));
    let row = |(class, held): (usize, u64)| {
        let size = size_of_class(class) as u64;
        if class < SMALL_CLASSES {
            let free = bytes(figures.classes[class].free_bytes);
            [exact_bytes(size), count(held / size), bytes(held), free]
        } else {
            let objects = format!("about {}", count(held.div_ceil(size)));
            let size = format!("up to {}", exact_bytes(size));
            [size, objects, bytes(held), String::new()]
        }
    };
    classes.into_iter().map(row).collect()
}

fn classes(figures: &Figures) -> String {
    let rows = class_rows(figures);
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("size class", Side::Right),
        ("objects", Side::Right),
        ("bytes", Side::Right),
        ("free in slabs", Side::Right),
    ]);
    let rest = rows.len().saturating_sub(ROWS) as u64;
    for row in rows.into_iter().take(ROWS) {
        table.row(row);
    }
    let mut text = table.text(INDENT);
    if rest > 0 {
        let rest = of_them(rest, "smaller size class", "smaller ones");
        line(&mut text, &format!("  {FAINT}and {rest}{FAINT:#}"));
    }
    text
}

fn purges(figures: &Figures) -> String {
    let [steps, calls, given] = figures.dirty_purges;
    let told = format!(
        "Purging gave back {} in {}, {}.",
        bytes(given),
        of_them(steps, "step", "steps"),
        of_them(calls, "system call", "system calls")
    );
    paragraph(&told, FAINT)
}

/// Whether it samples, in a few words.
pub(crate) fn sampling(figures: &Figures) -> String {
    match figures.profiling {
        profiling::ON => {
            let mean = 1u64
                .checked_shl(figures.lg_sample as u32)
                .unwrap_or(u64::MAX);
            format!("profiling, a sample each {}", exact_bytes(mean))
        }
        profiling::OFF => "profiling stopped".to_owned(),
        _ => "not profiling".to_owned(),
    }
}

/// Hours, minutes and seconds.
pub(crate) fn time(ns: u64) -> String {
    let seconds = Duration::from_nanos(ns).as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours}:{minutes:02}:{seconds:02}")
}

/// The same for other programs: sizes in bytes, times in seconds.
pub(super) fn json(figures: &Figures) -> Value {
    let mut rss = String::new();
    // Writing to a String cannot fail.
    let _ = figures.rss.write_json(&mut rss);
    let arenas: Vec<_> = figures
        .arenas
        .iter()
        .filter(|arena| arena.number != 0)
        .map(|arena| {
            json!({
                "index": arena.number - 1,
                "by_request": arena.by_request == 1,
                "threads": arena.threads,
                "small": arena.small,
                "large": arena.large,
                "slabs": arena.slabs,
                "allocations": arena.allocations,
                "frees": arena.frees,
            })
        })
        .collect();
    let purges =
        |[steps, calls, bytes]: [u64; 3]| json!({ "steps": steps, "calls": calls, "bytes": bytes });
    json!({
        "pid": figures.pid,
        "uptime_s": Duration::from_nanos(figures.uptime_ns).as_secs_f64(),
        "profiling": figures.profiling == profiling::ON,
        "resident": figures.resident,
        "mapped": figures.mapped,
        "threads": figures.threads,
        "heap_used": figures.heap_used,
        "heap_limit_soft": figures.heap_limit_soft,
        "heap_limit_hard": figures.heap_limit_hard,
        "memory_limit": figures.memory_limit,
        "now": snapshot_json(&figures.now),
        "peak": snapshot_json(&figures.peak),
        "rss": serde_json::from_str::<Value>(&rss).ok().filter(|_| figures.rss_at_ns != 0),
        "dirty_purges": purges(figures.dirty_purges),
        "muzzy_purges": purges(figures.muzzy_purges),
        "arenas": arenas,
        "arenas_by_request": figures.arenas_by_request,
    })
}

/// Books as JSON; classes that hold something by their size.
pub(super) fn snapshot_json(books: &Snapshot) -> Value {
    let classes: Vec<_> = books
        .class_bytes
        .iter()
        .enumerate()
        .filter(|&(_, &bytes)| bytes > 0)
        .map(|(class, bytes)| json!({ "size": size_of_class(class), "bytes": bytes }))
        .collect();
    json!({
        "allocated": books.allocated,
        "active": books.active,
        "dirty": books.dirty,
        "muzzy": books.muzzy,
        "retained": books.retained,
        "metadata": books.metadata,
        "thread_caches": books.thread_caches,
        "depot": books.depot,
        "free_slots": books.free_slots,
        "allocations": books.allocations,
        "frees": books.frees,
        "classes": classes,
    })
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::assert_fits;
    use anstream::adapter::strip_str;

    #[test]
    fn extreme_figures_fit_and_nothing_overflows() {
        let mut figures = Box::new(Figures::ZERO);
        for extreme in [0, 1, u64::MAX] {
            figures.uptime_ns = extreme;
            figures.profiling = profiling::ON;
            figures.lg_sample = extreme;
            figures.arenas_automatic = extreme;
            figures.arenas_by_request = extreme;
            figures.now.allocated = extreme;
            figures.now.class_bytes = [extreme; jemoxide::size::CLASSES];
            figures.dirty_purges = [extreme; 3];
            figures.rss.rss = extreme;
            figures.rss.live = extreme;
            figures.rss.unexplained = i64::MIN;
            for (index, arena) in figures.arenas.iter_mut().enumerate() {
                arena.number = index as u64 * extreme.min(1);
                arena.small = extreme;
                // There cannot be more of these.
                (arena.threads, arena.slabs) = (extreme.min(1 << 22), extreme.min(1 << 40));
            }
            let text = screen(&"x".repeat(200), &figures, extreme == 0);
            assert_fits(&text);
            assert_eq!(json(&figures)["now"]["allocated"], extreme);
        }
    }

    #[test]
    fn the_screen_tells_what_there_is() {
        let mut figures = Box::new(Figures::ZERO);
        figures.uptime_ns = 3_661_000_000_000;
        figures.now.allocated = 5 << 20;
        figures.now.class_bytes[3] = 6400;
        let text = strip_str(&screen("12 server", &figures, false)).to_string();
        for part in [
            "12 server",
            "up 1:01:01",
            "not profiling",
            "did not answer",
            "5.0 MiB",
            "objects the program holds",
            "6.2 KiB",
            "gave back",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("where the memory is"), "{text}");
    }
}
