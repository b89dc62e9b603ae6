//! `jemoxide diff BEFORE AFTER`: what grew and what shrank, by function or by call path.

use std::collections::HashSet;
use std::fmt::Write;
use std::process::ExitCode;
use std::slice;

use jemoxide_profile::views::{Change, changes, function_changes};
use jemoxide_profile::{Amount, Profile, Stack};
use serde_json::{Value, json};

use crate::arguments::heap::DiffArguments;
use crate::failure::Failure;
use crate::heap::load::Loaded;
use crate::heap::names::shortened;
use crate::heap::paths::aside;
use crate::heap::{flame, json, size};
use crate::screen::numbers::{bytes, of_them};
use crate::screen::paragraph::paragraph_in;
use crate::screen::style::{FAINT, GOOD, TITLE, WARNING};
use crate::screen::table::{Side, Table};
use crate::screen::{columns_of_output, output};

/// Columns that numbers take, and those of the change alone.
const NUMBERS: usize = 54;
const CHANGE: usize = 17;
/// Below this width the error and the numbers before and after are left out.
const ALL_FROM: usize = 72;

/// Prints the comparison.
pub(crate) fn print(arguments: &DiffArguments) -> Result<ExitCode, Failure> {
    let load = |file| Loaded::from_files(slice::from_ref(file), &arguments.names);
    let (before, after) = (load(&arguments.before)?, load(&arguments.after)?);
    let measure = before.demand(arguments.by)?;
    after.demand(arguments.by)?;
    if let Some(output) = &arguments.output {
        let sides = [
            (arguments.before.as_path(), &before),
            (arguments.after.as_path(), &after),
        ];
        return flame::draw_difference(sides, arguments.by, arguments.to, output);
    }
    let of = |stack: &Stack| stack.amount(measure);
    let list = if arguments.paths {
        changes(&before.profile, &after.profile, of)
    } else {
        function_changes(&before.profile, &after.profile, of)
    };
    let total = |profile: &Profile| profile.total(measure);
    let whole = Change {
        frames: Vec::new(),
        before: total(&before.profile),
        after: total(&after.profile),
    };
    let mut notes = before.notes;
    notes.extend(after.notes);
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    let text = if arguments.json {
        let value = json!({
            "before": arguments.before.display().to_string(),
            "after": arguments.after.display().to_string(),
            "total": value(&whole),
            "changes": list.iter().map(value).collect::<Vec<_>>(),
            "notes": notes,
        });
        serde_json::to_string_pretty(&value).map_err(Failure::broken)? + "\n"
    } else {
        screen(arguments, &list, &whole, &notes, columns_of_output())
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn screen(
    arguments: &DiffArguments,
    list: &[Change],
    whole: &Change,
    notes: &[String],
    width: Option<usize>,
) -> String {
    let mut text = format!("{TITLE}jemoxide diff: {}{TITLE:#}\n", arguments.by.bytes());
    for (name, file, amount) in [
        ("before", &arguments.before, whole.before),
        ("after", &arguments.after, whole.after),
    ] {
        // Writing to a String cannot fail: results are dropped throughout.
        let _ = writeln!(
            text,
            "  {FAINT}{name:<6}{FAINT:#}  {:>10}  {}",
            size(amount),
            file.display()
        );
    }
    let _ = writeln!(
        text,
        "  {FAINT}change{FAINT:#}  {:>10}  {FAINT}(error {}){FAINT:#}\n",
        signed(whole.bytes()),
        bytes(whole.error().round() as u64)
    );
    let shown: Vec<_> = list
        .iter()
        .filter(|change| change.bytes().abs() >= 0.5)
        .collect();
    if shown.is_empty() {
        return text + &paragraph_in("Nothing changed.", FAINT, width);
    }
    let rows = &shown[..shown.len().min(arguments.limit)];
    text.push_str(&if arguments.paths {
        path_rows(arguments, rows, width)
    } else {
        function_rows(rows, width)
    });
    let rest = shown.len() - rows.len();
    if rest > 0 {
        let rest = of_them(rest as u64, "smaller change", "smaller changes");
        let _ = writeln!(text, "{FAINT}  and {rest} (--limit){FAINT:#}");
    }
    if rows.iter().any(|change| change.is_doubtful()) {
        text.push('\n');
        text.push_str(&paragraph_in(
            "? The change is within twice its standard error: it may be chance.",
            FAINT,
            width,
        ));
    }
    for note in notes {
        text.push('\n');
        text.push_str(&paragraph_in(note, WARNING, width));
    }
    text
}

fn function_rows(rows: &[&Change], width: Option<usize>) -> String {
    let mut table = Table::new(&[
        ("change", Side::Right),
        ("", Side::Left),
        ("error", Side::Right),
        ("before", Side::Right),
        ("after", Side::Right),
        ("function", Side::Left),
    ]);
    for change in rows {
        let name = change.frames.first().map_or("", String::as_str);
        let name = match width {
            None => name.to_owned(),
            Some(width) if width < ALL_FROM => shortened(name, width.saturating_sub(CHANGE)),
            Some(width) => shortened(name, width.saturating_sub(NUMBERS).max(12)),
        };
        table.styled_row([
            (signed(change.bytes()), colour(change)),
            (doubt(change).to_owned(), WARNING),
            (bytes(change.error().round() as u64), FAINT),
            (size(change.before), FAINT),
            (size(change.after), Default::default()),
            (name, Default::default()),
        ]);
    }
    table.text_within(2, width, &[2, 3, 4])
}

fn path_rows(arguments: &DiffArguments, rows: &[&Change], width: Option<usize>) -> String {
    let mut text = String::new();
    for (index, change) in rows.iter().enumerate() {
        let style = colour(change);
        let _ = write!(
            text,
            "{:>4}. {style}{}{style:#}",
            index + 1,
            signed(change.bytes()),
        );
        if change.is_doubtful() {
            let _ = write!(text, " {WARNING}{}{WARNING:#}", doubt(change));
        }
        let more = [
            format!("error {}", bytes(change.error().round() as u64)),
            format!("from {} to {}", size(change.before), size(change.after)),
        ];
        text.push_str(&aside(&more, 20, width));
        let most = match arguments.frames {
            0 => usize::MAX,
            most => most,
        };
        for name in change.frames.iter().take(most) {
            let name = width.map_or_else(
                || name.clone(),
                |width| shortened(name, width.saturating_sub(6)),
            );
            let _ = writeln!(text, "      {name}");
        }
        let rest = change.frames.len().saturating_sub(most);
        if rest > 0 {
            let _ = writeln!(text, "      {FAINT}... and {rest} more{FAINT:#}");
        }
    }
    text
}

fn colour(change: &Change) -> anstyle::Style {
    match (change.is_doubtful(), change.bytes() > 0.0) {
        (true, _) => FAINT,
        (false, true) => WARNING,
        (false, false) => GOOD,
    }
}

fn doubt(change: &Change) -> &'static str {
    if change.is_doubtful() { "?" } else { "" }
}

/// `+1.2 MiB`, `-3 B`.
fn signed(number: f64) -> String {
    let sign = if number < 0.0 { "-" } else { "+" };
    format!("{sign}{}", bytes(number.abs().round() as u64))
}

fn value(change: &Change) -> Value {
    let amount = |amount: Amount| json::amount(amount);
    json!({
        "frames": change.frames,
        "change_bytes": change.bytes().round() as i64,
        "change_objects": change.objects().round() as i64,
        "standard_error_bytes": change.error().round() as u64,
        "before": amount(change.before),
        "after": amount(change.after),
    })
}
