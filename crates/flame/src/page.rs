//! Page: one HTML file with everything in it.
//!
//! ```text
//! page.html   places: <!--title--> /*style*/ /*data*/ /*script*/      page.css, page.js
//! data        {"views": [...], "names": [...], "nodes": [parent, name, bytes of view 0, ..., parent, ...]}
//! ```
//! G1  Nothing is fetched, nothing is stored, and its own policy lets it do neither.
//! G2  Names come from programs: in the data every `<` is escaped, and the script shows them as text only.
//! G3  What is narrower than [`LEAST`] of the whole in every view is left out, so that the file stays small; its bytes stay
//!     in the frames around it.

use serde_json::{Value, json};

use crate::graph::Graph;
use crate::tree::Tree;
use crate::view::View;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The smallest share that is drawn: a fifth of a pixel on a wide screen.
const LEAST: f64 = 1e-4;

impl Graph {
    /// An interactive page: search, zoom, a switch between the views that the profile has.
    pub fn page(&self, title: &str) -> String {
        let data = self.data(title).to_string().replace('<', "\\u003c");
        // From the end of the file to its beginning: what is put in is not looked through again.
        let parts = [
            ("<!--title-->", escaped(title)),
            ("/*style*/", STYLE.to_owned()),
            ("/*data*/", data),
            ("/*script*/", SCRIPT.to_owned()),
        ];
        let mut page = String::new();
        let mut rest = HTML;
        for (place, content) in parts {
            let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
            page.push_str(before);
            page.push_str(&content);
            rest = after;
        }
        page + rest
    }

    fn data(&self, title: &str) -> Value {
        // Of a difference: weights after, then weights before.
        let sides = if self.is_difference { 2 } else { 1 };
        let mut tree = Tree::new(View::ALL.len() * sides);
        for path in &self.paths {
            for view in 0..View::ALL.len() {
                tree.add(&path.frames, view, path.bytes[view]);
                if self.is_difference {
                    tree.add(&path.frames, View::ALL.len() + view, path.before[view]);
                }
            }
        }
        let views: Vec<_> = View::ALL
            .into_iter()
            .map(|view| {
                json!({
                    "name": view.name(),
                    "meaning": view.meaning(),
                    "missing": self.why_not(view),
                })
            })
            .collect();
        json!({
            "title": title,
            "views": views,
            "is_difference": self.is_difference,
            "waste_of_nobody": self.waste_of_nobody.round(),
            "names": tree.names,
            "nodes": nodes(&tree),
        })
    }
}

/// Parent, name and the bytes with all below it, of each node that is wide enough somewhere (G3).
fn nodes(tree: &Tree) -> Vec<u64> {
    let totals = tree.totals();
    let whole = totals[0].clone();
    let is_wide = |at: usize| {
        let mut both = totals[at].iter().zip(&whole);
        at == 0 || both.any(|(&bytes, &all)| bytes > 0.0 && bytes >= all * LEAST)
    };
    let mut numbers = vec![None; tree.nodes.len()];
    let mut kept = 0u64;
    let mut flat = Vec::new();
    for (at, node) in tree.nodes.iter().enumerate() {
        // A parent is at least as wide as its children.
        let Some(parent) = (if at == 0 {
            Some(0)
        } else {
            numbers[node.parent]
        }) else {
            continue;
        };
        if !is_wide(at) {
            continue;
        }
        numbers[at] = Some(kept);
        kept += 1;
        flat.extend([parent, node.name as u64]);
        flat.extend(totals[at].iter().map(|bytes| bytes.round() as u64));
    }
    flat
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
