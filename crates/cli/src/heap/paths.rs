//! Paths: call paths as blocks, heaviest first.
//!
//! ```text
//!   1.  9.0 MiB  70.0 %  (error 3 %), 1,234 objects
//!       load_table                    src/store.rs:88
//!       Store::open                   src/store.rs:40
//!       ... and 14 more
//! ```

use std::fmt::Write;

use jemoxide_profile::views::Path;
use jemoxide_profile::{Amount, Frame};

use crate::heap::names::{frame_line, shortened};
use crate::heap::{error, size, size_share};
use crate::screen::WIDTH;
use crate::screen::numbers::of_them;
use crate::screen::paragraph::lines;
use crate::screen::style::{FAINT, TITLE};

const INDENT: usize = 6;
/// Where places stand at the farthest, if lines have no bound.
const UNBOUND: usize = 60;

/// How paths are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathStyle {
    /// Columns; `None`: no bound.
    pub(crate) width: Option<usize>,
    /// Paths at most.
    pub(crate) limit: usize,
    /// Frames of each at most; 0: all.
    pub(crate) frames: usize,
}

/// The heaviest of `paths`; `of` all of them together; `more` adds to a path's first line.
pub(crate) fn path_list(
    paths: &[Path<'_>],
    whole: Amount,
    style: PathStyle,
    more: impl Fn(&Path<'_>) -> String,
) -> String {
    let mut text = String::new();
    for (index, path) in paths.iter().take(style.limit).enumerate() {
        let amount = path.amount;
        // Writing to a String cannot fail: results are dropped throughout.
        let _ = write!(
            text,
            "{:>4}. {TITLE}{}{TITLE:#}  {}",
            index + 1,
            size(amount),
            size_share(amount, whole),
        );
        let mut extra = Vec::new();
        if let Some(error) = error(amount) {
            extra.push(format!("error {error}"));
        }
        if amount.objects > 0.0 {
            extra.push(objects(amount));
        }
        let more = more(path);
        if !more.is_empty() {
            extra.push(more);
        }
        let taken = 8 + size(amount).len() + size_share(amount, whole).len();
        text.push_str(&aside(&extra, taken, style.width));
        text.push_str(&frame_list(&path.frames, style));
    }
    let rest = paths.get(style.limit..).unwrap_or_default();
    if !rest.is_empty() {
        let sum: Amount = rest.iter().map(|path| path.amount).sum();
        let _ = writeln!(
            text,
            "{FAINT}{:INDENT$}and {} with {} together{FAINT:#}",
            "",
            of_them(rest.len() as u64, "more path", "more paths"),
            size(sum)
        );
    }
    text
}

/// `facts` at the end of a line that has `taken` columns, and below it where there is no room; then the line's end.
pub(crate) fn aside(facts: &[String], taken: usize, width: Option<usize>) -> String {
    let whole = facts.join(", ");
    if whole.is_empty() {
        return "\n".to_owned();
    }
    if width.is_none_or(|width| taken + 2 + whole.chars().count() <= width) {
        return format!("  {FAINT}{whole}{FAINT:#}\n");
    }
    let room = width.unwrap_or(WIDTH).saturating_sub(INDENT);
    let mut below: Vec<String> = Vec::new();
    for fact in facts {
        match below.last_mut() {
            Some(line) if line.chars().count() + 2 + fact.chars().count() <= room => {
                line.push_str(", ");
                line.push_str(fact);
            }
            _ => below.extend(lines(fact, room)),
        }
    }
    let mut text = String::from("\n");
    for line in below {
        let _ = writeln!(text, "{:INDENT$}{FAINT}{line}{FAINT:#}", "");
    }
    text
}

/// `1,234 objects`.
pub(crate) fn objects(amount: Amount) -> String {
    of_them((amount.objects.round() as u64).max(1), "object", "objects")
}

/// The frames of one path, a line each.
pub(crate) fn frame_list(frames: &[Frame<'_>], style: PathStyle) -> String {
    let shown = match style.frames {
        0 => frames.len(),
        // One that is left out takes a line, too.
        most if frames.len() <= most + 1 => frames.len(),
        most => most,
    };
    let room = style.width.map(|width| width.saturating_sub(INDENT));
    let lines: Vec<_> = frames[..shown]
        .iter()
        .map(|frame| frame_line(frame, room))
        .collect();
    let widest = lines
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let longest = lines
        .iter()
        .map(|(_, place)| place.chars().count())
        .max()
        .unwrap_or(0);
    // Places stand under each other; names make room for them.
    let column = match room {
        Some(room) if longest > 0 => widest.min(room.saturating_sub(longest + 2)),
        // Where there is no bound, one long name should not move all places away.
        _ => widest.min(UNBOUND),
    };
    let mut text = String::new();
    for (frame, (name, place)) in frames.iter().zip(lines) {
        let name = if place.is_empty() {
            name
        } else {
            shortened(&name, room.map_or(usize::MAX, |_| column))
        };
        let again = if frame.is_recursive {
            "(calls itself)"
        } else {
            ""
        };
        let place = [&*place, again].join(" ");
        let place = place.trim();
        if place.is_empty() {
            let _ = writeln!(text, "{:INDENT$}{name}", "");
        } else {
            let pad = column.saturating_sub(name.chars().count());
            let _ = writeln!(
                text,
                "{:INDENT$}{name}{:pad$}  {FAINT}{place}{FAINT:#}",
                "", ""
            );
        }
    }
    if shown < frames.len() {
        let _ = writeln!(
            text,
            "{:INDENT$}{FAINT}... and {} more{FAINT:#}",
            "",
            frames.len() - shown
        );
    }
    if frames.is_empty() {
        let _ = writeln!(text, "{:INDENT$}(no frames)", "");
    }
    text
}
