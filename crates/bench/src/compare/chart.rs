//! Chart: all ratios of one comparison in one picture.
//!
//! ```text
//!                  time over the best peer's       peak RSS over the lowest peer's
//! workloads        |                               |
//!   ping-pong-64   |  @ A |o oo   o    o           |   @ o  o oo     o
//!   burst-25       |      @o  o  o                 |     @ o o       o
//! real programs    |      |                        |
//!   python-json    |      |@o o                    |    @o o
//!   0.25   0.5            1       2       4        1       2       4
//! ```
//! One line a job, one mark an allocator, on doubling scales. Ours is large and filled, its distance to the
//! line at 1 (the best peer of that row) a bar, its figure left of the panel; jemalloc, which it replaces,
//! is a ring; all others are light dots, because which of them is where matters less than where the best
//! one is. A short mark is the goal that must hold.
//! H1  A ratio off the scale is drawn at the edge, as a triangle; the tables have the number.

use super::job::Group;
use crate::goals;
use crate::palette::{self, BAND, FAINT, GOAL, INK, OURS, is_jemalloc};
use crate::peers::JEMOXIDE;
use crate::row::{Cell, Row};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = Box<dyn std::error::Error>;

/// Everything that is drawn.
pub(super) struct Picture<'a> {
    pub(super) title: &'a str,
    pub(super) names: &'a [String],
    /// As long as `times` and `sizes`.
    pub(super) groups: &'a [Group],
    pub(super) times: &'a [Row],
    pub(super) time_mean: &'a Row,
    pub(super) sizes: &'a [Row],
    pub(super) size_mean: &'a Row,
}

/// Pixels: height of a line, of head and foot, width of names with our figures, of panels and between them.
const LINE: i32 = 21;
const HEAD: i32 = 118;
const FOOT: i32 = 34;
const NAMES: i32 = 224;
const TIME_PANEL: i32 = 560;
const SIZE_PANEL: i32 = 320;
const GAP: i32 = 84;
/// Between the right end of our own figure and its panel.
const FIGURE: i32 = 12;
const WIDTH: i32 = NAMES + TIME_PANEL + GAP + SIZE_PANEL + 24;

/// A line of the picture.
enum Line<'a> {
    Heading(&'static str),
    Ratios {
        name: &'a str,
        time: &'a Row,
        size: &'a Row,
        is_mean: bool,
    },
}

/// One of the two panels.
struct Panel {
    title: &'static str,
    left: i32,
    width: i32,
    low: f64,
    high: f64,
    /// Which of a line's two rows, and whether its goals are marked.
    is_time: bool,
}

const PANELS: [Panel; 2] = [
    Panel {
        title: "Time: best peer of each row = 1",
        left: NAMES,
        width: TIME_PANEL,
        low: 0.35,
        high: 8.0,
        is_time: true,
    },
    Panel {
        title: "Peak RSS: lowest peer of each row = 1",
        left: NAMES + TIME_PANEL + GAP,
        width: SIZE_PANEL,
        low: 0.5,
        high: 4.0,
        is_time: false,
    },
];

/// Draws `picture` into `file`.
pub(super) fn draw(picture: &Picture, file: &Path) -> Result<(), String> {
    let mut svg = String::new();
    draw_into(picture, &mut svg).map_err(|error| format!("the chart: {error}"))?;
    std::fs::write(file, svg).map_err(|error| format!("{}: {error}", file.display()))
}

fn draw_into(picture: &Picture, svg: &mut String) -> Result<(), Failure> {
    let lines = lines(picture);
    let height = HEAD + LINE * lines.len() as i32 + FOOT;
    let root = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("jemoxide beside other allocators: {}", picture.title);
    text(&root, &title, (16, 14), 19, INK, HPos::Left, true)?;
    draw_legend(&root, picture)?;
    for (index, line) in lines.iter().enumerate() {
        draw_name(&root, index, line)?;
    }
    for panel in &PANELS {
        panel.draw_frame(&root, lines.len() as i32)?;
        for (index, line) in lines.iter().enumerate() {
            panel.draw_line(&root, index, line, picture.names)?;
        }
    }
    root.present()?;
    Ok(())
}

/// The means first, then the groups under their headings.
fn lines<'a>(picture: &Picture<'a>) -> Vec<Line<'a>> {
    let mut lines = vec![Line::Ratios {
        name: "geometric mean",
        time: picture.time_mean,
        size: picture.size_mean,
        is_mean: true,
    }];
    for (group, heading) in [
        (Group::Workload, "Workloads"),
        (Group::Program, "Real programs"),
    ] {
        if picture.groups.contains(&group) {
            lines.push(Line::Heading(heading));
        }
        let rows = picture.times.iter().zip(picture.sizes).zip(picture.groups);
        lines.extend(
            rows.filter(|(_, of)| **of == group)
                .map(|((time, size), _)| Line::Ratios {
                    name: &time.title,
                    time,
                    size,
                    is_mean: false,
                }),
        );
    }
    lines
}

fn draw_name(root: &Area, index: usize, line: &Line) -> Result<(), Failure> {
    let y = HEAD + LINE * index as i32;
    match line {
        Line::Heading(heading) => text(root, heading, (16, y + 5), 13, INK, HPos::Left, true),
        Line::Ratios { name, is_mean, .. } => {
            if *is_mean || index % 2 == 0 {
                let band = [(8, y), (WIDTH - 8, y + LINE)];
                root.draw(&Rectangle::new(band, BAND.filled()))?;
            }
            text(
                root,
                name,
                (NAMES - 56, y + 5),
                12,
                INK,
                HPos::Right,
                *is_mean,
            )
        }
    }
}

/// Marks and names of all allocators, ours first.
fn draw_legend(root: &Area, picture: &Picture) -> Result<(), Failure> {
    let (mut x, mut y) = (22, 48);
    let mut place = |label: &str| {
        let width = 26 + 7 * label.chars().count() as i32;
        if x + width > WIDTH - 10 {
            (x, y) = (22, y + 18);
        }
        let here = (x, y);
        x += width;
        here
    };
    for name in picture.names {
        let is_here = picture
            .times
            .iter()
            .any(|row| row.cells.get(name).and_then(Cell::median).is_some());
        let label = if is_here {
            name.clone()
        } else {
            format!("{name} (missing)")
        };
        let (x, y) = place(&label);
        draw_mark(root, (x, y), name, picture.names, None)?;
        text(
            root,
            &label,
            (x + 11, y - 6),
            12,
            INK,
            HPos::Left,
            name == JEMOXIDE,
        )?;
    }
    let (x, y) = place("goal that must hold");
    draw_goal(root, (x, y))?;
    text(
        root,
        "goal that must hold",
        (x + 11, y - 6),
        12,
        INK,
        HPos::Left,
        false,
    )
}

impl Panel {
    fn x(&self, ratio: f64) -> i32 {
        let part = (ratio.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        self.left + (part * f64::from(self.width)).round() as i32
    }

    /// Title, grid and labels at every doubling and halving.
    fn draw_frame(&self, root: &Area, lines: i32) -> Result<(), Failure> {
        let (top, bottom) = (HEAD, HEAD + LINE * lines);
        text(
            root,
            self.title,
            (self.left, top - 36),
            13,
            INK,
            HPos::Left,
            true,
        )?;
        for tick in [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0] {
            if tick < self.low || tick > self.high {
                continue;
            }
            let x = self.x(tick);
            let is_one = tick == 1.0;
            let (colour, width) = if is_one { (INK, 2) } else { (FAINT, 1) };
            root.draw(&PathElement::new(
                [(x, top - 2), (x, bottom + 2)],
                colour.stroke_width(width),
            ))?;
            let label = format!("{tick}");
            text(root, &label, (x, top - 17), 11, INK, HPos::Center, is_one)?;
            text(root, &label, (x, bottom + 6), 11, INK, HPos::Center, is_one)?;
        }
        Ok(())
    }

    fn draw_line(
        &self,
        root: &Area,
        index: usize,
        line: &Line,
        names: &[String],
    ) -> Result<(), Failure> {
        let Line::Ratios {
            time,
            size,
            is_mean,
            ..
        } = line
        else {
            return Ok(());
        };
        let row = if self.is_time { time } else { size };
        let y = HEAD + LINE * index as i32 + LINE / 2;
        let median = |name: &str| row.cells.get(name).and_then(Cell::median);
        let ours = median(JEMOXIDE);
        if let Some(ratio) = ours {
            let figure = format!("{ratio:.2}");
            let at = (self.left - FIGURE, y - LINE / 2 + 5);
            text(root, &figure, at, 12, OURS, HPos::Right, *is_mean)?;
            let bar = [(self.x(1.0), y), (self.x(ratio), y)];
            root.draw(&PathElement::new(bar, OURS.mix(0.55).stroke_width(4)))?;
        }
        // Goals of the jobs are about time.
        let goal = goals::of(&row.key).filter(|_| self.is_time || *is_mean);
        if let Some(goal) = goal {
            draw_goal(root, (self.x(goal.a), y))?;
        }
        // Ours last, so that it lies on top.
        let others = names.iter().filter(|name| *name != JEMOXIDE);
        for name in others {
            if let Some(ratio) = median(name) {
                draw_mark(root, (self.x(ratio), y), name, names, self.edge(ratio))?;
            }
        }
        if let Some(ratio) = ours {
            let at = (self.x(ratio), y);
            draw_mark(root, at, JEMOXIDE, names, self.edge(ratio))?;
        }
        Ok(())
    }

    /// Which way a ratio left the scale (rule H1): -1 or 1.
    fn edge(&self, ratio: f64) -> Option<i32> {
        if ratio > self.high {
            Some(1)
        } else if ratio < self.low {
            Some(-1)
        } else {
            None
        }
    }
}

fn draw_mark(
    root: &Area,
    at: (i32, i32),
    name: &str,
    names: &[String],
    edge: Option<i32>,
) -> Result<(), Failure> {
    let colour = palette::of(name, names);
    let (size, style) = if name == JEMOXIDE {
        (6, colour.filled())
    } else if is_jemalloc(name) {
        (5, colour.stroke_width(2))
    } else {
        (4, colour.filled())
    };
    match edge {
        None => root.draw(&Circle::new(at, size, style))?,
        Some(way) => {
            let (x, y) = at;
            let corners = [(x + way * 6, y), (x - way * 4, y - 5), (x - way * 4, y + 5)];
            root.draw(&Polygon::new(corners, style.color))?;
        }
    }
    Ok(())
}

fn draw_goal(root: &Area, (x, y): (i32, i32)) -> Result<(), Failure> {
    let mark = [(x, y - 8), (x, y + 8)];
    root.draw(&PathElement::new(mark, GOAL.stroke_width(4)))?;
    Ok(())
}

fn text(
    root: &Area,
    text: &str,
    at: (i32, i32),
    size: i32,
    colour: RGBColor,
    side: HPos,
    is_bold: bool,
) -> Result<(), Failure> {
    let weight = if is_bold {
        FontStyle::Bold
    } else {
        FontStyle::Normal
    };
    let style = FontDesc::new(FontFamily::SansSerif, f64::from(size), weight)
        .color(&colour)
        .pos(Pos::new(side, VPos::Top));
    root.draw_text(text, &style, at)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Group, Picture, draw_into};
    use crate::row::Row;

    #[test]
    fn every_name_and_every_figure_is_drawn() {
        let times = [
            Row::of_values("ping-pong-64", &[("jemoxide", 0.7), ("other", 1.0)]),
            Row::of_values("a-program", &[("other", 400.0)]),
        ];
        let sizes = [
            Row::of_values("ping-pong-64", &[("jemoxide", 1.1)]),
            Row::of_values("a-program", &[]),
        ];
        let mean = Row::of_values("mean", &[]);
        let names = ["jemoxide", "other", "absent"].map(String::from);
        let mut svg = String::new();
        let picture = Picture {
            title: "a test",
            names: &names,
            groups: &[Group::Workload, Group::Program],
            times: &times,
            time_mean: &mean,
            sizes: &sizes,
            size_mean: &mean,
        };
        draw_into(&picture, &mut svg).unwrap();
        for text in [
            "ping-pong-64",
            "a-program",
            "Real programs",
            "jemoxide",
            "other",
            "absent (missing)",
            "Peak RSS",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
        // Three figures on the scale and three marks of the legend; one figure off the scale.
        assert_eq!(svg.matches("<circle").count(), 6);
        assert_eq!(svg.matches("<polygon").count(), 1, "rule H1");
    }
}
