//! SVG: drawn by inferno, with its own search and zoom.

use std::fmt;

use inferno::flamegraph::{self, Options};

use crate::graph::Graph;
use crate::view::View;

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undrawable(String);

impl fmt::Display for Undrawable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for Undrawable {}

impl Graph {
    /// The graph of one view as an SVG file.
    ///
    /// # Errors
    /// The profile does not have the view, or nothing is in it.
    pub fn svg(&self, view: View, title: &str) -> Result<String, Undrawable> {
        if let Some(why) = self.why_not(view) {
            return Err(Undrawable(why.to_owned()));
        }
        let lines = self.lines(view);
        if lines.is_empty() {
            return Err(Undrawable(format!("There are no {} bytes.", view.name())));
        }
        let mut options = Options::default();
        // XML has no place for control characters, not even escaped.
        options.title = title.replace(char::is_control, "?");
        options.subtitle = Some(
            view.meaning()
                .split(". ")
                .next()
                .unwrap_or_default()
                .to_owned(),
        );
        options.count_name = "bytes".to_owned();
        options.name_type = "Function:".to_owned();
        let mut picture = Vec::new();
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut picture)
            .map_err(|why| Undrawable(format!("The picture cannot be drawn: {why}.")))?;
        String::from_utf8(picture).map_err(|why| Undrawable(why.to_string()))
    }

    /// `outermost;...;innermost bytes`, of a difference `before after`; sorted, as inferno wants them.
    fn lines(&self, view: View) -> Vec<String> {
        let view = view as usize;
        let mut lines: Vec<_> = self
            .paths
            .iter()
            .map(|path| (path, path.bytes[view].round(), path.before[view].round()))
            .filter(|&(_, after, before)| after > 0.0 || self.is_difference && before > 0.0)
            .map(|(path, after, before)| {
                // What separates frames, and lines, cannot be in a name.
                let clean = |frame: &String| frame.replace([';', '\n', '\r'], ":");
                let frames: Vec<_> = path.frames.iter().map(clean).collect();
                let frames = frames.join(";");
                if self.is_difference {
                    format!("{frames} {before:.0} {after:.0}")
                } else {
                    format!("{frames} {after:.0}")
                }
            })
            .collect();
        lines.sort_unstable();
        lines
    }
}
