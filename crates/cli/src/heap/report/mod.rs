//! `jemoxide report FILE...`: what heap profiles say, view by view.
//!
//! ```text
//! summary                      always: when, how sampled, live, peak, allocated
//! top tree paths peak          by function, as a tree, by path
//! leaks temporary              by age
//! classes threads tags         by size class, thread, tag
//! notes                        files without names and the like
//! ```
//! Every view is made twice from the same rows: as text here, as JSON in `data`.

mod aged;
mod data;
mod sums;
mod top;
mod tree;

use std::process::ExitCode;

use jemoxide_profile::views::paths;
use jemoxide_profile::{Amount, Form, Measure, Profile};

use crate::arguments::heap::{ReportArguments, View};
use crate::failure::Failure;
use crate::heap::load::Loaded;
use crate::heap::paths::{PathStyle, objects, path_list};
use crate::heap::{error, size, why_empty};
use crate::screen::numbers::{age, bytes, count, date, of_them};
use crate::screen::paragraph::{lines, paragraph_in};
use crate::screen::style::{FAINT, TITLE, WARNING};
use crate::screen::table::{Side, Table};
use crate::screen::{columns_of_output, fitted, output};

/// Columns of the names in the summary, with blanks around them.
const NAMES: usize = 11;

/// All that views need.
pub(crate) struct Context<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) arguments: &'a ReportArguments,
    /// Columns; `None`: no bound.
    pub(crate) width: Option<usize>,
}

impl Context<'_> {
    fn style(&self) -> PathStyle {
        PathStyle {
            width: self.width,
            limit: self.arguments.rows(),
            frames: self.arguments.frames,
        }
    }
}

/// Prints the report.
pub(crate) fn print(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    let loaded = Loaded::from_files(&arguments.files, &arguments.names)?;
    if arguments
        .view
        .iter()
        .any(|view| matches!(view, View::Top | View::Tree | View::Paths))
    {
        loaded.demand(arguments.by)?;
    }
    let context = Context {
        profile: &loaded.profile,
        arguments,
        width: columns_of_output(),
    };
    let text = if arguments.json {
        let value = data::all(&context, &loaded.notes);
        serde_json::to_string_pretty(&value).map_err(Failure::broken)? + "\n"
    } else {
        text(&context, &loaded.notes)
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(context: &Context<'_>, notes: &[String]) -> String {
    let mut text = summary(context);
    for view in &context.arguments.view {
        text.push('\n');
        text.push_str(&match view {
            View::Top => top::text(context),
            View::Tree => tree::text(context),
            View::Paths => by_path(context, context.arguments.by.measure(), "Call paths by"),
            View::Peak => by_path(context, Measure::Peak, "Call paths by"),
            View::Leaks => aged::leaks(context),
            View::Temporary => aged::temporary(context),
            View::Classes => sums::classes(context),
            View::Threads => sums::threads(context),
            View::Tags => sums::tags(context),
        });
    }
    for note in notes {
        text.push('\n');
        text.push_str(&paragraph_in(note, WARNING, context.width));
    }
    text
}

/// A view's title, and the line under it.
pub(crate) fn title(title: &str) -> String {
    format!("{TITLE}{title}{TITLE:#}\n")
}

/// What stands instead of a view that the profile has nothing for.
pub(crate) fn nothing(context: &Context<'_>, why: &str) -> String {
    paragraph_in(why, FAINT, context.width)
}

fn summary(context: &Context<'_>) -> String {
    let profile = context.profile;
    let names: Vec<_> = context
        .arguments
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let width = context
        .width
        .map_or(usize::MAX, |width| width - "jemoxide report: ".len());
    let mut rows = Table::new(&[("", Side::Left), ("", Side::Left)]);
    let mut row = |name: &str, value: String| {
        let room = context.width.map_or(usize::MAX, |width| width - NAMES);
        let lines = match value.chars().count() {
            fits if fits <= room => vec![value],
            _ => lines(&value, room),
        };
        for (at, line) in lines.into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            rows.styled_row([(name.to_owned(), FAINT), (line, Default::default())]);
        }
    };
    if let Some(time) = profile.time() {
        let running = match time.since_start_ns {
            0 => String::new(),
            ns => format!(", {} after profiling began", age(ns)),
        };
        row("taken", format!("{}{running}", date(time.unix_seconds)));
    }
    row("sampled", sampling(profile));
    row("live", figures(profile.total(Measure::Live)));
    match profile.peak() {
        Some(peak) => row(
            "peak",
            format!(
                "{}, {} after profiling began",
                bytes(peak.bytes),
                age(peak.at_ns)
            ),
        ),
        None if profile.known().peak => row("peak", figures(profile.total(Measure::Peak))),
        None => {}
    }
    if profile.known().cumulative {
        row("in all", figures(profile.total(Measure::Cumulative)));
    }
    format!(
        "{}{}",
        title(&format!(
            "jemoxide report: {}",
            fitted(&names.join(" "), width)
        )),
        rows.text(2)
    )
}

fn sampling(profile: &Profile) -> String {
    let how = match (profile.form(), profile.period()) {
        (Form::Collapsed, _) | (_, 0) => "not told by this form".to_owned(),
        (_, 1) => "every allocation: the numbers are exact".to_owned(),
        (_, period) => format!(
            "once in {} on average: the numbers are estimates",
            bytes(period)
        ),
    };
    match profile.sources() {
        0 | 1 => how,
        sources => format!("{how} ({} profiles)", count(u64::from(sources))),
    }
}

fn figures(amount: Amount) -> String {
    if amount.is_zero() {
        return "nothing".to_owned();
    }
    let mut text = size(amount);
    if amount.objects > 0.0 {
        text.push_str(&format!(" in {}", objects(amount)));
    }
    if let Some(error) = error(amount).filter(|error| error != "0 %") {
        let samples = of_them(amount.samples.round() as u64, "sample", "samples");
        text.push_str(&format!("  (error {error}, {samples})"));
    }
    text
}

fn by_path(context: &Context<'_>, measure: Measure, begin: &str) -> String {
    let what = match measure {
        Measure::Peak => "bytes live at the peak",
        _ => context.arguments.by.bytes(),
    };
    let mut text = title(&format!("{begin} {what}"));
    if !measure.is_known(context.profile.known()) {
        return text
            + &nothing(
                context,
                "This profile does not tell what was live at the peak. Take one with prof_details:true, or by `jemoxide \
             run --profile`.",
            );
    }
    let paths = paths(context.profile, |stack| stack.amount(measure));
    if paths.is_empty() {
        let why = why_empty(context.profile, measure);
        return text
            + &nothing(
                context,
                &why.unwrap_or_else(|| "Nothing was sampled.".to_owned()),
            );
    }
    text.push_str(&path_list(
        &paths,
        context.profile.total(measure),
        context.style(),
        |_| String::new(),
    ));
    text
}

#[cfg(test)]
mod tests;
