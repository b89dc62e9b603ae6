//! `jemoxide flame FILE... -o OUT`: a profile as a picture or a page; `jemoxide diff A B -o OUT`: the difference of two.
//!
//! What is drawn, and how waste is computed: package `jemoxide-flame`.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jemoxide_flame::{Graph, View};

use crate::arguments::heap::{By, Drawing, FlameArguments, FlameView};
use crate::failure::Failure;
use crate::heap::file;
use crate::heap::load::Loaded;
use crate::screen::numbers::bytes;
use crate::screen::paragraph::paragraph;
use crate::screen::style::WARNING;

/// Draws the profiles, merged.
pub(crate) fn draw(arguments: &FlameArguments) -> Result<ExitCode, Failure> {
    let form = form(arguments.to, &arguments.output)?;
    let loaded = Loaded::from_files(&arguments.files, &arguments.names)?;
    let title = arguments.title.clone().unwrap_or_else(|| {
        let names: Vec<_> = arguments.files.iter().map(|file| name(file)).collect();
        names.join(", ")
    });
    let graph = Graph::of(&loaded.profile);
    demand_bytes(&graph, arguments.view.view(), form, "--view")?;
    write(
        &graph,
        arguments.view.view(),
        &title,
        form,
        &arguments.output,
    )?;
    tell(&loaded.notes);
    Ok(ExitCode::SUCCESS)
}

/// Draws what changed from one profile to another.
pub(crate) fn draw_difference(
    [before, after]: [(&Path, &Loaded); 2],
    by: By,
    to: Option<Drawing>,
    output: &Path,
) -> Result<ExitCode, Failure> {
    let form = form(to, output)?;
    let graph = Graph::difference(&before.1.profile, &after.1.profile);
    let title = format!("{} to {}", name(before.0), name(after.0));
    let view = match by {
        By::Live => View::Live,
        By::Peak => View::Peak,
        By::Cumulative => View::Cumulative,
    };
    demand_bytes(&graph, view, form, "--by")?;
    write(&graph, view, &title, form, output)?;
    let mut notes = before.1.notes.clone();
    notes.extend(
        after
            .1
            .notes
            .iter()
            .filter(|note| !before.1.notes.contains(note))
            .cloned(),
    );
    tell(&notes);
    Ok(ExitCode::SUCCESS)
}

/// The failure to tell when nothing would be drawn, with the `option` that draws something.
fn demand_bytes(graph: &Graph, view: View, form: Drawing, option: &str) -> Result<(), Failure> {
    let has_some = |view: &View| graph.has_bytes(*view);
    let other = View::ALL.into_iter().find(has_some);
    let is_empty = match form {
        // It has all views, and opens on one that has bytes.
        Drawing::Html => other.is_none(),
        Drawing::Svg => graph.why_not(view).is_none() && !has_some(&view),
    };
    if !is_empty {
        return Ok(());
    }
    let of_nobody = graph.waste_of_nobody().round() as u64;
    if view == View::Waste && of_nobody > 0 {
        return Err(Failure::broken(format!(
            "no waste is charged to a stack, so nothing was drawn: {} of free slots are of size classes without a live \
             sample. See `jemoxide report --view classes`.",
            bytes(of_nobody)
        )));
    }
    Err(Failure::broken(match other {
        Some(other) => format!(
            "there are no {} bytes, so nothing was drawn; try {option} {}.",
            view.name(),
            other.name()
        ),
        None => "no sample was taken, so nothing was drawn.".to_owned(),
    }))
}

impl FlameView {
    fn view(self) -> View {
        match self {
            Self::Live => View::Live,
            Self::Peak => View::Peak,
            Self::Cumulative => View::Cumulative,
            Self::Waste => View::Waste,
        }
    }
}

/// What is written: as asked for, or as the name says.
fn form(to: Option<Drawing>, output: &Path) -> Result<Drawing, Failure> {
    if let Some(to) = to {
        return Ok(to);
    }
    match output.extension().and_then(|suffix| suffix.to_str()) {
        _ if output == Path::new("-") => Ok(Drawing::Html),
        Some("svg") => Ok(Drawing::Svg),
        Some("html" | "htm") => Ok(Drawing::Html),
        _ => Err(Failure::misuse(format!(
            "{} is neither a picture nor a page by its name: end it in .svg or .html, or add --to svg or --to html.",
            output.display()
        ))),
    }
}

fn write(
    graph: &Graph,
    view: View,
    title: &str,
    form: Drawing,
    output: &Path,
) -> Result<(), Failure> {
    let text = match form {
        Drawing::Html => graph.page(title),
        Drawing::Svg => graph.svg(view, title).map_err(Failure::misuse)?,
    };
    file::write(output, text.as_bytes())
}

fn name(file: &Path) -> String {
    let name = file
        .file_name()
        .map_or_else(|| PathBuf::from(file), PathBuf::from);
    name.display().to_string()
}

fn tell(notes: &[impl Display]) {
    for note in notes {
        anstream::eprint!("{}", paragraph(&note.to_string(), WARNING));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_says_what_is_written() {
        let of = |name: &str| form(None, Path::new(name));
        assert!(matches!(of("a/b.svg"), Ok(Drawing::Svg)));
        assert!(matches!(of("b.html"), Ok(Drawing::Html)));
        assert!(matches!(of("-"), Ok(Drawing::Html)));
        let to = form(Some(Drawing::Svg), Path::new("b.png"));
        assert!(matches!(to, Ok(Drawing::Svg)));
        for wrong in ["b", "b.png", "svg"] {
            let why = of(wrong).expect_err("neither");
            assert!(why.message().contains(".svg or .html"), "{}", why.message());
        }
    }
}
