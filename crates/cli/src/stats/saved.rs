//! Saved: figures in a file that some process left: a report of `report_dir`, or JSON of `malloc_stats_print`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anstyle::Style;
use serde_json::{Value, json};

use super::{is_report, text};
use crate::failure::Failure;
use crate::report::Figures;
use crate::screen::numbers::{bytes, count, exact_bytes};
use crate::screen::style::{FAINT, TITLE};
use crate::screen::table::{Side, Table};
use crate::screen::{WIDTH, fitted};

/// Larger than any statistics: what is not one is not read to its end.
const MOST: u64 = 64 << 20;
const ROWS: usize = 16;
const INDENT: usize = 2;

/// The figures in the file at `path`, as text or JSON.
pub(super) fn show(path: &Path, as_json: bool) -> Result<String, Failure> {
    let shown = path.display();
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_end(&mut content))
        .map_err(|why| Failure::misuse(format!("{shown} cannot be read: {why}.")))?;
    if is_report(&content) {
        let figures = Figures::read(path).map_err(|_| not_figures(path))?;
        return Ok(of_report(&shown.to_string(), &figures, as_json));
    }
    let statistics = statistics(&content).ok_or_else(|| not_figures(path))?;
    Ok(if as_json {
        format!("{statistics}\n")
    } else {
        of_statistics(&shown.to_string(), &statistics)
    })
}

fn not_figures(path: &Path) -> Failure {
    Failure::misuse(format!(
        "{} holds no figures: neither a live channel's file, nor a report of report_dir, nor JSON of malloc_stats_print \
         (letter J), or it is of another version.",
        path.display()
    ))
}

fn of_report(title: &str, figures: &Figures, as_json: bool) -> String {
    let report = &figures.report;
    if as_json {
        let json = json!({
            "pid": report.pid,
            "exited": report.exited == 1,
            "settled": figures.settled,
            "now": text::snapshot_json(&report.now),
            "peak": text::snapshot_json(&report.peak),
        });
        return format!("{json}\n");
    }
    let mut out = heading(title);
    out.push_str(&text::books(&report.now, &report.peak));
    let resident = text::resident(&report.rss);
    if !resident.is_empty() {
        out.push('\n');
        out.push_str(&resident);
    }
    out
}

/// The statistics in `content`, which may have other lines before them: a program's messages go the same way.
fn statistics(content: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(content);
    let start = text.find("{\"jemalloc\"").or_else(|| text.find('{'))?;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    let value = values.next()?.ok()?;
    value.get("jemalloc")?.get("stats")?;
    Some(value)
}

fn of_statistics(title: &str, value: &Value) -> String {
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let mut out = heading(title);
    let mut table = Table::new(&[("", Side::Left), ("", Side::Right), ("", Side::Left)]);
    for (name, meaning) in [
        ("allocated", "objects the program holds"),
        ("active", "the pages they lie in"),
        ("resident", "pages that may have memory"),
        ("mapped", "addresses in use"),
        ("retained", "addresses kept without memory"),
        ("metadata", "the allocator's own records"),
    ] {
        table.styled_row([
            (name.to_owned(), FAINT),
            (
                bytes(number(&format!("/jemalloc/stats/{name}"))),
                Style::new(),
            ),
            (meaning.to_owned(), FAINT),
        ]);
    }
    out.push_str(&table.text(INDENT));
    let sizes = value
        .pointer("/jemalloc/arenas/bin")
        .and_then(Value::as_array);
    // With one arena there is no sum of all.
    let arenas = value.pointer("/jemalloc/stats.arenas");
    let bins = ["merged", "0"]
        .iter()
        .find_map(|arena| arenas?.get(arena)?.get("bins")?.as_array());
    if let (Some(sizes), Some(bins)) = (sizes, bins) {
        let classes = classes(sizes, bins);
        out.push('\n');
        out.push_str(&classes.text(INDENT));
    }
    out
}

fn classes(sizes: &[Value], bins: &[Value]) -> Table {
    let of = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut rows: Vec<_> = sizes
        .iter()
        .zip(bins)
        .map(|(size, bin)| {
            let (size, slots) = (of(size, "size"), of(size, "nregs"));
            let (objects, slabs) = (of(bin, "curregs"), of(bin, "curslabs"));
            let room = slots.saturating_mul(slabs).saturating_sub(objects);
            (
                size,
                objects,
                size.saturating_mul(objects),
                size.saturating_mul(room),
            )
        })
        .filter(|&(_, objects, ..)| objects > 0)
        .collect();
    rows.sort_by_key(|&(_, _, bytes, _)| std::cmp::Reverse(bytes));
    let mut table = Table::new(&[
        ("size class", Side::Right),
        ("objects", Side::Right),
        ("bytes", Side::Right),
        ("free in slabs", Side::Right),
    ]);
    for (size, objects, held, free) in rows.into_iter().take(ROWS) {
        table.row([exact_bytes(size), count(objects), bytes(held), bytes(free)]);
    }
    table
}

fn heading(title: &str) -> String {
    let title = fitted(title, WIDTH - "jemoxide: ".len());
    format!("{TITLE}jemoxide: {title}{TITLE:#}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::assert_fits;

    #[test]
    fn statistics_are_found_behind_other_lines() {
        let text = r#"starting up
{"jemalloc":{"arenas":{"bin":[{"size":8,"nregs":512},{"size":16,"nregs":256}]},
"stats":{"allocated":1048576},"stats.arenas":{"merged":{"bins":[{"curregs":0,"curslabs":1},{"curregs":100,"curslabs":1}]}}}}
done"#;
        let value = statistics(text.as_bytes()).expect("there");
        let told = of_statistics("x.json", &value);
        assert_fits(&told);
        let told = anstream::adapter::strip_str(&told).to_string();
        assert!(told.contains("1.0 MiB"), "{told}");
        let row: Vec<_> = told
            .lines()
            .last()
            .expect("a row")
            .split_whitespace()
            .collect();
        assert_eq!(row, ["16", "B", "100", "1.6", "KiB", "2.4", "KiB"]);
    }

    #[test]
    fn anything_else_is_refused_with_what_would_do() {
        let folder = tempfile::tempdir().expect("a directory");
        for content in [
            "",
            "{}",
            "{\"jemalloc\":{}}",
            "\u{0}\u{1}",
            "{\"jemalloc\":{\"stats\"",
        ] {
            let path = folder.path().join("x");
            std::fs::write(&path, content).expect("writable");
            let why = show(&path, false).expect_err("no figures");
            assert!(
                why.message().contains("malloc_stats_print"),
                "{}",
                why.message()
            );
        }
    }
}
