//! SVG: drawn by inferno, with its own search and zoom.
//!
//! V1  What separates frames for inferno is written otherwise while it draws, and put back into the picture: names of arrays
//!     (`[u8; 4]`) stay as they are.
//! V2  A difference is as wide as what is there after; where nothing is left, as wide as what was there before, all of it
//!     freed.

use std::fmt;

use inferno::flamegraph::{self, Options};

use crate::graph::Graph;
use crate::view::View;

/// Stands for `;` in what inferno reads (V1): of the private area, as no name has it.
const SEMICOLON: char = '\u{e03b}';

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
        let is_gone = self.is_difference && self.total(view) < 0.5;
        let lines = self.lines(view, is_gone);
        if lines.is_empty() {
            return Err(Undrawable(format!("There are no {} bytes.", view.name())));
        }
        let mut options = Options::default();
        // XML has no place for control characters, not even escaped.
        options.title = title.replace(char::is_control, "?");
        let name = view.name();
        options.subtitle = Some(match (self.is_difference, is_gone) {
            (false, _) => view
                .meaning()
                .split(". ")
                .next()
                .unwrap_or_default()
                .to_owned(),
            (true, false) => format!("Red grew, blue shrank, by {name} bytes; as wide as after."),
            (true, true) => format!("No {name} bytes are left: as wide as what was there before."),
        });
        // Before and after have changed places, and so would red and blue.
        options.negate_differentials = is_gone;
        options.count_name = "bytes".to_owned();
        options.name_type = "Function:".to_owned();
        let mut picture = Vec::new();
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut picture)
            .map_err(|why| Undrawable(format!("The picture cannot be drawn: {why}.")))?;
        let picture = String::from_utf8(picture).map_err(|why| Undrawable(why.to_string()))?;
        Ok(picture.replace(SEMICOLON, ";"))
    }

    /// `outermost;...;innermost bytes`, of a difference `before after`, or the other way round where nothing is left; sorted,
    /// as inferno wants them.
    fn lines(&self, view: View, is_gone: bool) -> Vec<String> {
        let view = view as usize;
        let mut lines: Vec<_> = self
            .paths
            .iter()
            .map(|path| (path, path.bytes[view].round(), path.before[view].round()))
            .filter(|&(_, after, before)| after > 0.0 || self.is_difference && before > 0.0)
            .map(|(path, after, before)| {
                let clean = |frame: &String| {
                    let one_line = frame.replace(['\n', '\r'], ":");
                    one_line.replace(';', SEMICOLON.encode_utf8(&mut [0; 4]))
                };
                let frames: Vec<_> = path.frames.iter().map(clean).collect();
                let frames = frames.join(";");
                match (self.is_difference, is_gone) {
                    (false, _) => format!("{frames} {after:.0}"),
                    (true, false) => format!("{frames} {before:.0} {after:.0}"),
                    (true, true) => format!("{frames} {after:.0} {before:.0}"),
                }
            })
            .collect();
        lines.sort_unstable();
        lines
    }
}
