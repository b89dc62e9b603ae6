//! Boxes over the picture: what the words mean, and whether profiling is to be switched.

use jemoxide::stats::live::{Figures, profiling};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::watch::Watch;
use crate::screen::numbers::exact_bytes;

/// Samples as far apart as by default, or farther.
const CHEAP_LG: u64 = 19;

/// Asks whether profiling is to be switched, and says what that means.
pub(super) fn ask(frame: &mut Frame<'_>, watch: &Watch, area: Rect) {
    const ANSWERS: &str = "\n\ny  yes      any other key  no";
    let title = &watch.title;
    if watch.figures.profiling == profiling::ON {
        let text = format!(
            "{title} takes samples of what it allocates. Without, new objects are not seen; what was sampled so far stays \
             known.{ANSWERS}"
        );
        return box_with(frame, area, " switch profiling off? ", &text);
    }
    // What the option's default is made for; below it there are more samples than an ordinary one.
    let cost = if watch.figures.lg_sample >= CHEAP_LG {
        "That costs about a percent of its time and memory."
    } else {
        "That is more than the usual one each 512 KiB, and may slow it down."
    };
    let text = format!(
        "{title} then records the stack of one allocation in {} on average, and goes on with it when you leave. {cost} \
         p switches it off again.{ANSWERS}",
        mean(&watch.figures)
    );
    box_with(frame, area, " switch profiling on? ", &text);
}

const WORDS: &str = "\
resident    memory of the process, by the system
allocated   objects the program holds
idle        pages kept for what comes next; they go back
            within dirty_decay_ms
back        memory given back to the system
small/large objects in slabs, objects with pages of their own
stacks      who holds memory, from samples: p switches
            profiling on, which costs about a percent

q Esc  leave         Tab 1 2 3  tables
p      profiling     up down    lines of the table
space  hold          ?          this help";

/// Explains the words and the keys.
pub(super) fn explain(frame: &mut Frame<'_>, area: Rect) {
    box_with(frame, area, " what the words mean ", WORDS);
}

/// A box over the middle of the screen, as large as its text.
fn box_with(frame: &mut Frame<'_>, area: Rect, title: &'static str, text: &str) {
    let width = area.width.min(64);
    let inside = usize::from(width.saturating_sub(2)).max(1);
    let lines = text
        .lines()
        .map(|line| line.chars().count().div_ceil(inside).max(1));
    // A broken line may need one more than its characters do.
    let longest = text.lines().any(|line| line.chars().count() > inside);
    let lines = lines.sum::<usize>() + usize::from(longest) + 2;
    let height = area.height.min(lines.try_into().unwrap_or(u16::MAX));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(title);
    let text = Paragraph::new(text.to_owned()).wrap(Wrap { trim: false });
    frame.render_widget(text.block(block), place);
}

/// The mean distance of samples, that there is or would be.
pub(super) fn mean(figures: &Figures) -> String {
    exact_bytes(
        1u64.checked_shl(figures.lg_sample as u32)
            .unwrap_or(u64::MAX),
    )
}
