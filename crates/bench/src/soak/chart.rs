//! Chart: a picture an entrant; live bytes grey, resident memory above them coloured.
//!
//! ```text
//! +--------------+ +--------------+   all on the same scales: what stands out of the grey is what the
//! |  ~~~~\       | |  ~~~~~~~~~~~ |   allocator kept; nights are shaded, the caption has RSS over live
//! | ######\_     | | ######\      |
//! +--------------+ +--------------+
//! ```

use super::entrants::Entrant;
use super::figures::{self, Figures};
use super::watch::{Sample, Watched};
use crate::palette::{self, BAND, FAINT, INK};
use crate::peers::JEMOXIDE;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = Box<dyn std::error::Error>;
type Picture<'a> = (&'a Entrant, &'a Watched);

/// Pixels: size of one picture, pictures side by side, height of the head.
const PICTURE: (u32, u32) = (360, 210);
const COLUMNS: usize = 3;
const HEAD: u32 = 66;

/// Points of one line; the worst of those that fall together is drawn.
const POINTS: usize = 240;

/// Letters of a name at most.
const NAME: usize = 36;

const LIVE: RGBColor = RGBColor(196, 202, 209);
const MIB: f64 = 1024.0 * 1024.0;

/// Draws `pictures` into `file`.
pub(super) fn draw(pictures: &[Picture<'_>], file: &Path) -> Result<(), String> {
    let svg = picture(pictures)?;
    std::fs::write(file, svg).map_err(|error| format!("{}: {error}", file.display()))
}

/// The chart as text.
pub(super) fn picture(pictures: &[Picture<'_>]) -> Result<String, String> {
    let mut svg = String::new();
    draw_into(pictures, &mut svg).map_err(|error| format!("the chart: {error}"))?;
    Ok(svg)
}

fn draw_into(pictures: &[Picture<'_>], svg: &mut String) -> Result<(), Failure> {
    let lines = pictures.len().div_ceil(COLUMNS).max(1);
    let size = (PICTURE.0 * COLUMNS as u32, HEAD + PICTURE.1 * lines as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    draw_head(&head)?;
    let names: Vec<String> = pictures.iter().map(|(e, _)| e.peer.clone()).collect();
    let all = || pictures.iter().flat_map(|(_, watched)| &watched.samples);
    let end_s = all().map(|sample| sample.ms).max().unwrap_or(1) as f64 / 1000.0;
    let top = all().map(|sample| sample.rss_kib).max().unwrap_or(1) as f64 / 1024.0;
    let cells = body.split_evenly((lines, COLUMNS));
    for (area, (entrant, watched)) in cells.iter().zip(pictures) {
        let colour = palette::of(&entrant.peer, &names);
        draw_one(area, entrant, watched, colour, end_s, top * 1.05)?;
    }
    root.present()?;
    Ok(())
}

fn draw_head(area: &Area<'_>) -> Result<(), Failure> {
    let title = ("sans-serif", 19)
        .into_font()
        .style(FontStyle::Bold)
        .color(&INK);
    let text = "Resident memory over the days of a server";
    area.draw_text(text, &title, (16, 10))?;
    let label = ("sans-serif", 12).into_font().color(&INK);
    let grey = [(18, 42), (34, 54)];
    area.draw(&Rectangle::new(grey, LIVE.filled()))?;
    let text = "live: what the program holds";
    area.draw_text(text, &label, (40, 42))?;
    let line = [(230, 48), (250, 48)];
    area.draw(&PathElement::new(line, palette::OURS.stroke_width(3)))?;
    let text = "resident, MiB over seconds; in brackets: mean resident over mean live";
    area.draw_text(text, &label, (256, 42))?;
    area.draw(&Rectangle::new([(660, 42), (676, 54)], BAND.filled()))?;
    area.draw(&Rectangle::new([(660, 42), (676, 54)], FAINT))?;
    area.draw_text("night: no calls", &label, (682, 42))?;
    Ok(())
}

fn draw_one(
    area: &Area<'_>,
    entrant: &Entrant,
    watched: &Watched,
    colour: RGBColor,
    end_s: f64,
    top: f64,
) -> Result<(), Failure> {
    let caption = format!(
        "{} ({:.2})",
        shortened(&entrant.name),
        Figures::of(watched).rss_over_live
    );
    let style = ("sans-serif", 13)
        .into_font()
        .style(FontStyle::Bold)
        .color(&INK);
    area.draw_text(&caption, &style, (44, 6))?;
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_top(24)
        .x_label_area_size(22)
        .y_label_area_size(36)
        .build_cartesian_2d(0.0..end_s, 0.0..top)?;
    for night in figures::nights(&watched.samples) {
        let (Some(first), Some(last)) = (night.first(), night.last()) else {
            continue;
        };
        let corners = [(seconds(first), 0.0), (seconds(last), top)];
        chart.draw_series([Rectangle::new(corners, BAND.filled())])?;
    }
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(("sans-serif", 11))
        .draw()?;
    let live = points(&watched.samples, |sample| sample.live as f64 / MIB);
    chart.draw_series(AreaSeries::new(live, 0.0, LIVE))?;
    let rss = points(&watched.samples, |sample| sample.rss_kib as f64 / 1024.0);
    let width = if entrant.peer == JEMOXIDE { 3 } else { 2 };
    chart.draw_series(LineSeries::new(rss, colour.stroke_width(width)))?;
    Ok(())
}

/// `name` as far as it fits above a picture.
fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

fn seconds(sample: &Sample) -> f64 {
    sample.ms as f64 / 1000.0
}

/// At most [`POINTS`] points, each the highest of its neighbours.
fn points(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let group = samples.len().div_ceil(POINTS).max(1);
    let highest = |group: &[Sample]| group.iter().map(&value).fold(0.0, f64::max);
    samples
        .chunks(group)
        .map(|group| (seconds(&group[0]), highest(group)))
        .collect()
}
