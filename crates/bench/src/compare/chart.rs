//! Chart: all ratios of one comparison in one picture.
//!
//! ```text
//! workload 1 |   o  |x   +            one line a workload, one mark an allocator
//! workload 2 |  o   x   +             position: time over the best peer's, on a doubling scale
//!            0.5    1   2   4
//! ```
//! Ours is a filled mark and larger; the line at 1 is the best peer of each workload.

use crate::peers::JEMOXIDE;
use crate::row::{Cell, Row};
use plotters::prelude::*;
use std::path::Path;

/// Height of one workload, of everything else, and width of all, in pixels.
const LINE: u32 = 30;
const FRAME: u32 = 130;
const WIDTH: u32 = 1000;

/// Ratios beyond are drawn at the edge; the tables have them.
const MOST: f64 = 16.0;
const LEAST: f64 = 0.25;

/// Ours first; told apart without seeing colour by the order in the legend and the filled mark.
const COLOURS: &[RGBColor] = &[
    RGBColor(200, 30, 30),
    RGBColor(30, 90, 200),
    RGBColor(30, 150, 70),
    RGBColor(230, 140, 20),
    RGBColor(130, 70, 170),
    RGBColor(90, 90, 90),
];

/// Draws `ratios` for the allocators `names` into `file`.
pub(super) fn draw(ratios: &[Row], names: &[String], file: &Path) -> Result<(), String> {
    let mut svg = String::new();
    draw_into(ratios, names, &mut svg).map_err(|error| format!("the chart: {error}"))?;
    std::fs::write(file, svg).map_err(|error| format!("{}: {error}", file.display()))
}

fn draw_into(
    ratios: &[Row],
    names: &[String],
    svg: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let lines = ratios.len();
    let root =
        SVGBackend::with_string(svg, (WIDTH, FRAME + LINE * lines as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let name_of = |line: &f64| {
        let index = line.round() as usize;
        let row = index.checked_sub(1).and_then(|index| ratios.get(index));
        row.map_or(String::new(), |row| row.title.clone())
    };
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "Time over the best peer's (lower is better)",
            ("sans-serif", 20),
        )
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(150)
        .build_cartesian_2d(
            (LEAST..MOST).log_scale().base(2.0),
            (lines as f64 + 0.9)..0.1,
        )?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_labels(7)
        .y_labels(lines + 1)
        .x_label_formatter(&|ratio| format!("{ratio}"))
        .y_label_formatter(&name_of)
        .label_style(("sans-serif", 14))
        .draw()?;
    chart.draw_series(LineSeries::new(
        [(1.0, 0.1), (1.0, lines as f64 + 0.9)],
        &BLACK,
    ))?;
    // Ours last, so that it lies on top.
    let (ours, others): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| *name == JEMOXIDE);
    for (index, name) in others.into_iter().chain(ours).enumerate() {
        let is_ours = name == JEMOXIDE;
        let colour = if is_ours {
            COLOURS[0]
        } else {
            COLOURS[1 + index % (COLOURS.len() - 1)]
        };
        let (size, style) = if is_ours {
            (7, colour.filled())
        } else {
            (5, colour.stroke_width(2))
        };
        let is_here = ratios
            .iter()
            .any(|row| row.cells.get(name).and_then(Cell::median).is_some());
        let label = if is_here {
            name.clone()
        } else {
            format!("{name} (missing)")
        };
        let marks = ratios.iter().enumerate().filter_map(|(line, row)| {
            let ratio = row.cells.get(name).and_then(Cell::median)?;
            Some(Circle::new(
                (ratio.clamp(LEAST, MOST), line as f64 + 1.0),
                size,
                style,
            ))
        });
        chart
            .draw_series(marks)?
            .label(label)
            .legend(move |(x, y)| Circle::new((x + 8, y), size, style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK)
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::draw_into;
    use crate::row::{Cell, Row};

    #[test]
    fn every_name_and_every_figure_is_drawn() {
        let mut rows = vec![
            Row::new("k", "first-workload", 2),
            Row::new("l", "second-workload", 2),
        ];
        rows[0]
            .cells
            .insert("jemoxide".into(), Cell::Values(vec![0.7]));
        rows[0]
            .cells
            .insert("other".into(), Cell::Values(vec![1.0]));
        rows[1]
            .cells
            .insert("other".into(), Cell::Values(vec![400.0]));
        let mut svg = String::new();
        let names = ["jemoxide", "other", "absent"].map(String::from);
        draw_into(&rows, &names, &mut svg).unwrap();
        for text in [
            "first-workload",
            "second-workload",
            "jemoxide",
            "other",
            "absent (missing)",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
        // Three figures and three marks of the legend.
        assert_eq!(svg.matches("<circle").count(), 6);
    }
}
