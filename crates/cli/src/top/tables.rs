//! Tables: arenas, size classes, stacks.

use std::time::Duration;

use jemoxide::stats::live::profiling;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table as Grid, Wrap};

use super::boxes::mean;
use super::stacks::HotStack;
use super::view::{Face, Table, right};
use super::watch::Watch;
use crate::screen::fitted;
use crate::screen::numbers::{bytes, count, share};
use crate::stats::{arena_name, class_rows};

pub(super) fn draw_table(frame: &mut Frame<'_>, watch: &Watch, face: &Face, area: Rect) {
    let tabs = [
        (Table::Arenas, " 1 arenas "),
        (Table::Classes, " 2 size classes "),
        (Table::Stacks, " 3 stacks "),
    ];
    let title: Vec<_> = tabs
        .into_iter()
        .map(|(table, name)| {
            if table == face.table {
                Span::from(name).reversed()
            } else {
                Span::from(name)
            }
        })
        .collect();
    let mut block = Block::bordered().title(Line::from(title));
    if let (Table::Stacks, Some(taken)) = (face.table, watch.pictured) {
        let told = format!(" as of {} ago ", rough(taken.elapsed()));
        block = block.title_bottom(Line::from(told).right_aligned());
    }
    match face.table {
        Table::Arenas => frame.render_widget(arenas(watch, face).block(block), area),
        Table::Classes => frame.render_widget(classes(watch, face).block(block), area),
        Table::Stacks => draw_stacks(frame, watch, face, block, area),
    }
}

fn titles(names: &[&'static str]) -> Row<'static> {
    let cells = names.iter().enumerate().map(|(at, &name)| match at {
        0 => Cell::from(name),
        _ => right(name.to_owned()),
    });
    Row::new(cells).bold()
}

fn arenas(watch: &Watch, face: &Face) -> Grid<'static> {
    let rows = watch
        .figures
        .arenas
        .iter()
        .filter(|arena| arena.number != 0)
        .skip(face.first)
        .map(|arena| {
            Row::new([
                Cell::from(arena_name(arena)),
                right(count(arena.threads)),
                right(bytes(arena.small)),
                right(bytes(arena.large)),
                right(count(arena.slabs)),
            ])
        });
    let widths = [
        Constraint::Length(14),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(8),
    ];
    Grid::new(rows, widths).header(titles(&["arena", "threads", "small", "large", "slabs"]))
}

fn classes(watch: &Watch, face: &Face) -> Grid<'static> {
    let rows = class_rows(&watch.figures).into_iter().skip(face.first).map(
        |[size, objects, held, free]| {
            Row::new([Cell::from(size), right(objects), right(held), right(free)])
        },
    );
    let widths = [
        Constraint::Length(12),
        Constraint::Length(14),
        Constraint::Length(10),
        Constraint::Length(14),
    ];
    Grid::new(rows, widths).header(titles(&["size class", "objects", "bytes", "free in slabs"]))
}

fn draw_stacks(frame: &mut Frame<'_>, watch: &Watch, face: &Face, block: Block<'_>, area: Rect) {
    let hint = match (&watch.picture, watch.figures.profiling) {
        (Some(picture), _) if picture.why_not.is_some() => picture.why_not.clone(),
        (Some(picture), _) if picture.stacks.is_empty() => {
            let mean = mean(&watch.figures);
            Some(format!(
                "no sample yet: one is taken for each {mean} allocated, on average"
            ))
        }
        (Some(_), _) => None,
        (None, profiling::ON) => Some("the first profile is being written and read ...".to_owned()),
        (None, _) => Some("press p to switch profiling on".to_owned()),
    };
    if let Some(hint) = hint {
        frame.render_widget(
            Paragraph::new(hint).wrap(Wrap::default()).block(block),
            area,
        );
        return;
    }
    let Some(picture) = &watch.picture else {
        return;
    };
    let width = usize::from(area.width.saturating_sub(2 + 20));
    let rows = picture.stacks.iter().skip(face.first).map(|stack| {
        Row::new([
            right(share(stack.bytes as u64, picture.total as u64)),
            right(bytes(stack.bytes as u64)),
            Cell::from(chain(stack, width)),
        ])
    });
    let widths = [
        Constraint::Length(7),
        Constraint::Length(10),
        Constraint::Fill(1),
    ];
    frame.render_widget(Grid::new(rows, widths).block(block), area);
}

/// The allocating function and as many of its callers as fit.
fn chain(stack: &HotStack, width: usize) -> String {
    let mut text = String::new();
    for (at, frame) in stack.frames.iter().enumerate() {
        if at > 0 {
            text.push_str(" < ");
        }
        text.push_str(frame);
        if text.chars().count() >= width {
            break;
        }
    }
    fitted(&text, width)
}

/// A time in one number: `4 s`, `12 min`.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
