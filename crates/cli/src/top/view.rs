//! View: one frame of what is known, for any size of terminal.
//!
//! ```text
//! 4711 server   profiling   up 0:12:09   3 threads                    who
//! resident 123.4 MiB   allocated 100.2 MiB   ...   1234 allocs/s      how much
//! +- where the memory is ------------++- resident, allocated -------+
//! | live objects  #########  98.1 MiB ||          .......----        |  parts and history, where there is room
//! +----------------------------------++------------------------------+
//! +- 1 arenas  2 size classes  3 stacks -----------------------------+
//! |                                                                  |
//! +------------------------------------------------------------------+
//! q quit  ? help  Tab table  p profiling  space hold                  keys, or a message
//! ```
//! Lines say the most needed first: what does not fit is left out as a whole.

use std::time::Duration;

use jemoxide::stats::live::{Figures, profiling};
use jemoxide::stats::rss::Part;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Cell, Chart, Clear, Dataset, GraphType, Paragraph, Row, Table as Grid, Wrap,
};

use super::stacks::HotStack;
use super::watch::Watch;
use crate::screen::fitted;
use crate::screen::numbers::{bytes, count, exact_bytes, of_them, share};
use crate::stats::{arena_name, class_rows, sampling, time};

/// Below this many columns or rows there is no room for a picture.
const SMALLEST: (u16, u16) = (30, 8);
/// Rows from which parts and history are shown, and columns from which they stand side by side.
const TALL: u16 = 18;
const WIDE: u16 = 70;
/// Columns of the parts beside the history.
const PARTS: u16 = 46;
/// Cells of the longest bar.
const BAR: u64 = 8;
/// Samples as far apart as by default, or farther.
const CHEAP_LG: u64 = 19;

/// Which table is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Table {
    #[default]
    Arenas,
    Classes,
    Stacks,
}

impl Table {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Arenas => Self::Classes,
            Self::Classes => Self::Stacks,
            Self::Stacks => Self::Arenas,
        }
    }
}

/// What the person has chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Face {
    pub(super) table: Table,
    /// The first line of the table that is shown.
    pub(super) first: usize,
    pub(super) is_held: bool,
    pub(super) is_explained: bool,
    /// Whether the person is asked about profiling.
    pub(super) is_asked: bool,
}

impl Face {
    pub(super) fn turn_to(&mut self, table: Table) {
        self.table = table;
        self.first = 0;
    }
}

/// Draws the frame.
pub(super) fn draw(frame: &mut Frame<'_>, watch: &Watch, face: &Face) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        frame.render_widget(
            Paragraph::new("too small: q leaves").wrap(Wrap::default()),
            area,
        );
        return;
    }
    let upper = if area.height >= TALL {
        (area.height - 3) / 2
    } else {
        0
    };
    let [head, parts, table, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(upper),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(watch, head.width), head);
    if upper > 0 {
        let sides = if area.width >= WIDE {
            vec![Constraint::Length(PARTS), Constraint::Fill(1)]
        } else {
            vec![Constraint::Fill(1)]
        };
        let columns = Layout::horizontal(sides).split(parts);
        draw_parts(frame, watch, columns[0]);
        if let Some(&column) = columns.get(1) {
            draw_history(frame, watch, column);
        }
    }
    draw_table(frame, watch, face, table);
    frame.render_widget(footer(watch, face, usize::from(foot.width)), foot);
    if face.is_asked {
        ask(frame, watch, area);
    } else if face.is_explained {
        box_with(frame, area, " what the words mean ", WORDS);
    }
}

fn header(watch: &Watch, width: u16) -> Paragraph<'static> {
    let figures = &watch.figures;
    let inside = match watch.subject {
        crate::live::Subject::Process(pid) if u64::from(pid) != figures.pid => {
            format!(" ({} in its container)", figures.pid)
        }
        _ => String::new(),
    };
    let title = fitted(&watch.title, 32);
    let who = [
        format!("{title}{inside}"),
        sampling(figures),
        format!("up {}", time(figures.uptime_ns)),
        of_them(figures.threads, "thread", "threads"),
    ];
    let books = &figures.now;
    let much = [
        format!("resident {}", bytes(figures.resident)),
        format!(
            "allocated {}",
            bytes(books.allocated.saturating_add(figures.by_request_bytes))
        ),
        format!("idle {}", bytes(books.dirty.saturating_add(books.muzzy))),
        format!("{} allocs/s", count(watch.rates.allocations as u64)),
        format!("{}/s back", bytes(watch.rates.purged as u64)),
    ];
    let width = usize::from(width);
    Paragraph::new(vec![
        Line::from(joined(&who, width)).bold(),
        Line::from(joined(&much, width)),
    ])
}

/// As many of `parts` as fit, the first in any case.
fn joined(parts: &[String], width: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { "  " };
        if !text.is_empty() && text.chars().count() + gap.len() + part.chars().count() > width {
            break;
        }
        text.push_str(gap);
        text.push_str(part);
    }
    fitted(&text, width)
}

fn draw_parts(frame: &mut Frame<'_>, watch: &Watch, area: Rect) {
    let rss = &watch.figures.rss;
    let block = Block::bordered().title(" where the memory is ");
    if watch.figures.rss_at_ns == 0 {
        frame.render_widget(
            Paragraph::new("the process is being asked ...").block(block),
            area,
        );
        return;
    }
    let mut parts: Vec<_> = Part::ALL
        .into_iter()
        .map(|part| (part.title(), rss.bytes(part)))
        .filter(|&(_, bytes)| bytes > 0)
        .collect();
    let room = usize::from(area.height.saturating_sub(3));
    if parts.len() > room {
        // The smallest ones make room; the order of the rest stays.
        let mut sizes: Vec<_> = parts.iter().map(|&(_, bytes)| bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let least = sizes.get(room.saturating_sub(1)).copied().unwrap_or(0);
        parts.retain(|&(_, bytes)| bytes >= least);
        parts.truncate(room);
    }
    let mut rows: Vec<_> = parts
        .into_iter()
        .map(|(title, part)| part_row(title, part, rss.rss))
        .collect();
    let rest = bytes(rss.unexplained.unsigned_abs());
    let sign = if rss.unexplained < 0 { "-" } else { "" };
    rows.push(Row::new([
        Cell::from("not explained"),
        Cell::from(""),
        right(format!("{sign}{rest}")),
    ]));
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(BAR as u16),
        Constraint::Length(9),
    ];
    frame.render_widget(Grid::new(rows, widths).block(block), area);
}

fn part_row(title: &'static str, part: u64, of: u64) -> Row<'static> {
    let cells = u128::from(part) * u128::from(BAR) / u128::from(of.max(1));
    let bar = "#".repeat(cells.min(u128::from(BAR)) as usize);
    Row::new([
        Cell::from(title),
        Cell::from(bar).green(),
        right(bytes(part)),
    ])
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

fn draw_history(frame: &mut Frame<'_>, watch: &Watch, area: Rect) {
    let points = |of: fn(&super::watch::Point) -> u64| -> Vec<(f64, f64)> {
        let points = watch.history.iter();
        points.map(|point| (point.at, of(point) as f64)).collect()
    };
    let resident = points(|point| point.resident);
    let allocated = points(|point| point.allocated);
    let highest = resident
        .iter()
        .chain(&allocated)
        .fold(1.0, |most: f64, &(_, bytes)| most.max(bytes));
    let begin = resident.first().map_or(0.0, |&(at, _)| at);
    let end = resident.last().map_or(1.0, |&(at, _)| at).max(begin + 10.0);
    let line = |name: &'static str, color: Color, data| {
        Dataset::default()
            .name(name)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(color))
            .data(data)
    };
    let top = highest * 1.1;
    let chart = Chart::new(vec![
        line("resident", Color::Cyan, &resident),
        line("allocated", Color::Green, &allocated),
    ])
    .block(Block::bordered().title(Line::from(vec![
        " resident".cyan(),
        ", ".into(),
        "allocated ".green(),
    ])))
    .legend_position(None)
    .x_axis(
        Axis::default()
            .bounds([begin, end])
            .labels(vec![format!("-{:.0} s", end - begin), "now".to_owned()]),
    )
    .y_axis(
        Axis::default()
            .bounds([0.0, top])
            .labels(vec!["0".to_owned(), bytes(top as u64)]),
    );
    frame.render_widget(chart, area);
}

fn draw_table(frame: &mut Frame<'_>, watch: &Watch, face: &Face, area: Rect) {
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
        Constraint::Length(16),
        Constraint::Length(8),
        Constraint::Length(11),
        Constraint::Length(11),
        Constraint::Length(9),
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
        Constraint::Length(16),
        Constraint::Length(16),
        Constraint::Length(11),
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

fn footer(watch: &Watch, face: &Face, width: usize) -> Line<'static> {
    let told: Vec<&str> = if watch.has_ended {
        vec![
            "The process has ended; these are its last figures. q leaves.",
            "The process has ended. q leaves.",
            "ended; q leaves",
        ]
    } else if watch.is_silent {
        vec![
            "No news: the process is stopped, or its channel closed. q leaves.",
            "No news: stopped, or closed. q leaves.",
            "no news; q leaves",
        ]
    } else if let Some(message) = watch.message() {
        vec![message]
    } else {
        return keys(face, width);
    };
    let fits = told.iter().find(|form| form.chars().count() <= width);
    let shortest = told.last().copied().unwrap_or_default();
    Line::from(fitted(fits.unwrap_or(&shortest), width)).yellow()
}

fn keys(face: &Face, width: usize) -> Line<'static> {
    let held = if face.is_held { " go on" } else { " hold" };
    let keys = [
        ("q", " quit"),
        ("?", " help"),
        ("Tab", " table"),
        ("p", " profiling"),
        ("space", held),
    ];
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut taken = 0;
    for (key, meaning) in keys {
        let gap = if taken == 0 { "" } else { "  " };
        taken += gap.len() + key.len() + meaning.len();
        if taken > width {
            break;
        }
        spans.extend([Span::from(gap), Span::from(key).bold(), Span::from(meaning)]);
    }
    Line::from(spans)
}

/// The mean distance of samples, that there is or would be.
fn mean(figures: &Figures) -> String {
    exact_bytes(
        1u64.checked_shl(figures.lg_sample as u32)
            .unwrap_or(u64::MAX),
    )
}

/// Asks whether profiling is to be switched, and says what that means.
fn ask(frame: &mut Frame<'_>, watch: &Watch, area: Rect) {
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
