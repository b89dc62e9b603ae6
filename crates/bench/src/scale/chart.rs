//! Chart: every figure of every series as a small picture of its own.
//!
//! ```text
//! +-------------+ +-------------+   cost over size, both on logarithmic scales: a flat line is what
//! |  __--       | |             |   scales, a line along the diagonal doubles with its surroundings;
//! |==========   | |=====----    |   ours is thick, jemalloc, which it replaces, blue
//! +-------------+ +-------------+
//! ```

use super::growth::Curve;
use crate::palette::{self, FAINT, INK, is_jemalloc};
use crate::peers::JEMOXIDE;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = Box<dyn std::error::Error>;

/// Pixels: size of one picture, pictures side by side, height of title and legend.
const PICTURE: (u32, u32) = (400, 270);
const COLUMNS: usize = 3;
const HEAD: u32 = 84;

/// Draws `curves` into `file`.
pub(super) fn draw(curves: &[Curve], names: &[String], file: &Path) -> Result<(), String> {
    let mut svg = String::new();
    draw_into(curves, names, &mut svg).map_err(|error| format!("the chart: {error}"))?;
    std::fs::write(file, svg).map_err(|error| format!("{}: {error}", file.display()))
}

fn draw_into(curves: &[Curve], names: &[String], svg: &mut String) -> Result<(), Failure> {
    let lines = curves.len().div_ceil(COLUMNS) as u32;
    let size = (PICTURE.0 * COLUMNS as u32, HEAD + PICTURE.1 * lines);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    draw_head(&head, curves, names)?;
    for (area, curve) in body
        .split_evenly((lines.max(1) as usize, COLUMNS))
        .iter()
        .zip(curves)
    {
        draw_curve(area, curve, names)?;
    }
    root.present()?;
    Ok(())
}

fn draw_head(area: &Area, curves: &[Curve], names: &[String]) -> Result<(), Failure> {
    let title = ("sans-serif", 19)
        .into_font()
        .style(FontStyle::Bold)
        .color(&INK);
    area.draw_text(
        "What an operation costs as its surroundings grow",
        &title,
        (16, 12),
    )?;
    let label = ("sans-serif", 12).into_font().color(&INK);
    let mut x = 18;
    for name in names {
        let is_here = curves.iter().any(|curve| !curve.points(name).is_empty());
        let text = if is_here {
            name.clone()
        } else {
            format!("{name} (missing)")
        };
        let line = [(x, 56), (x + 18, 56)];
        let style = palette::of(name, names).stroke_width(width(name));
        area.draw(&PathElement::new(line, style))?;
        area.draw_text(&text, &label, (x + 23, 50))?;
        x += 40 + 7 * text.chars().count() as i32;
    }
    Ok(())
}

fn width(name: &str) -> u32 {
    if name == JEMOXIDE {
        4
    } else if is_jemalloc(name) {
        2
    } else {
        1
    }
}

fn draw_curve(area: &Area, curve: &Curve, names: &[String]) -> Result<(), Failure> {
    let all: Vec<f64> = names
        .iter()
        .flat_map(|name| curve.points(name))
        .map(|point| point.1)
        .collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(0.0, f64::max);
    let (Some(&first), Some(&last)) = (curve.sizes.first(), curve.sizes.last()) else {
        return Ok(());
    };
    if !low.is_finite() || first == last {
        return Ok(());
    }
    let caption = format!("{}: {}", curve.series.name, curve.figure.about);
    let style = ("sans-serif", 12).into_font().color(&INK);
    area.draw_text(&caption, &style, (14, 6))?;
    // At least a decade, or noise would look like growth.
    let middle = (low * high).sqrt();
    let range = (low / 1.3).min(middle / 3.2)..(high * 1.3).max(middle * 3.2);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(22)
        .margin_right(20)
        .x_label_area_size(34)
        .y_label_area_size(62)
        .build_cartesian_2d((first as f64..last as f64).log_scale(), range.log_scale())?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(WHITE)
        .axis_style(INK)
        .x_labels(5)
        .y_labels(5)
        .x_desc(curve.series.counts)
        .y_desc(curve.figure.unit.name())
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .label_style(("sans-serif", 11))
        .draw()?;
    // Ours last, so that it lies on top.
    let others = names.iter().filter(|name| *name != JEMOXIDE);
    let ours = names.iter().filter(|name| *name == JEMOXIDE);
    for name in others.chain(ours) {
        let style = palette::of(name, names).stroke_width(width(name));
        let points = curve.points(name);
        chart.draw_series(
            points
                .iter()
                .map(|&point| Circle::new(point, 2, style.filled())),
        )?;
        chart.draw_series(LineSeries::new(points, style))?;
    }
    Ok(())
}

/// A number in as few characters as say it.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e4 => format!("{} k", value / 1e3),
        value if value >= 1.0 => format!("{value:.0}"),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{draw_into, short};
    use crate::row::{Cell, Row};
    use crate::scale::growth::Curve;
    use crate::scale::series::SERIES;

    #[test]
    fn every_curve_and_every_name_is_drawn() {
        let step = |cost: f64| {
            let mut row = Row::new("step", "step", 1);
            row.cells
                .insert("jemoxide".into(), Cell::Values(vec![cost]));
            row
        };
        let figures = SERIES[0].figures.iter();
        let curves: Vec<Curve> = figures
            .map(|figure| Curve::new(&SERIES[0], figure, &[1, 64], vec![step(3.0), step(4.0)]))
            .collect();
        let mut svg = String::new();
        draw_into(&curves, &["jemoxide".into(), "absent".into()], &mut svg).unwrap();
        assert!(svg.contains("absent (missing)"));
        for figure in SERIES[0].figures {
            assert!(svg.contains(figure.about), "{}", figure.about);
        }
        assert_eq!(svg.matches("<circle").count(), 2 * curves.len());
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [1e7, 2e4, 300.0, 0.5].map(short),
            ["10 M", "20 k", "300", "0.5"]
        );
    }
}
