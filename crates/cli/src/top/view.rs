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
//! The first and last lines: `lines`; tables: `tables`; what lies over all of it: `boxes`.

use jemoxide::stats::rss::Part;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{
    Axis, Block, Cell, Chart, Dataset, GraphType, Paragraph, Row, Table as Grid, Wrap,
};

use super::watch::Watch;
use super::{boxes, lines, tables};
use crate::screen::numbers::bytes;

/// Below this many columns or rows there is no room for a picture.
const SMALLEST: (u16, u16) = (30, 8);
/// Rows from which parts and history are shown, and columns from which they stand side by side.
const TALL: u16 = 18;
const WIDE: u16 = 70;
/// Columns of the parts beside the history.
const PARTS: u16 = 46;
/// Cells of the longest bar.
const BAR: u64 = 8;

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
    frame.render_widget(lines::header(watch, head.width), head);
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
    tables::draw_table(frame, watch, face, table);
    frame.render_widget(lines::footer(watch, face, usize::from(foot.width)), foot);
    if face.is_asked {
        boxes::ask(frame, watch, area);
    } else if face.is_explained {
        boxes::explain(frame, area);
    }
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

pub(super) fn right(text: String) -> Cell<'static> {
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
