//! Tree: the call tree, branches of a percent and more.
//!
//! Stacks are deep and mostly straight: a lone child stands under its parent without being indented, so that indents
//! show where ways part.

use std::fmt::Write;

use jemoxide_profile::views::{Tree, tree};

use super::{Context, nothing, title};
use crate::heap::names::{short_place, shortened};
use crate::heap::{size, size_share, why_empty};
use crate::screen::numbers::of_them;
use crate::screen::style::FAINT;

/// Branches that hold a smaller share are left out.
const LEAST: f64 = 0.01;
/// Columns of the numbers before a name.
const NUMBERS: usize = 22;
/// Deeper indents than this share of the width stop growing.
const INDENT_SHARE: usize = 3;

/// A line to come: which node, how deep.
struct Line {
    node: usize,
    indent: usize,
}

/// The tree.
pub(super) fn text(context: &Context<'_>) -> String {
    let by = context.arguments.by;
    let mut text = title(&format!("Call tree of {}", by.bytes()));
    let measure = by.measure();
    let tree = tree(context.profile, |stack| stack.amount(measure));
    let whole = tree.node(0).amount;
    if whole.is_zero() {
        let why = why_empty(context.profile, measure);
        return text
            + &nothing(
                context,
                &why.unwrap_or_else(|| "Nothing was sampled.".to_owned()),
            );
    }
    let mut lines = 0;
    let mut stack = below(&tree, 0, 0);
    while let Some(Line {
        node: index,
        indent,
    }) = stack.pop()
    {
        if lines == context.arguments.tree_lines() {
            let rest = rest(&tree, stack, index);
            let rest = of_them(rest as u64, "more line", "more lines");
            let _ = writeln!(text, "{FAINT}  and {rest} (--limit){FAINT:#}");
            return text;
        }
        lines += 1;
        let node = tree.node(index);
        let most = context
            .width
            .map_or(usize::MAX, |width| width / INDENT_SHARE);
        let shown = (2 * indent).min(most);
        let place = match context.width {
            None => node.place.map(|place| place.to_string()),
            Some(_) => node.place.map(short_place),
        };
        let name = match context.width {
            None => node.name.clone().into_owned(),
            Some(width) => shortened(&node.name, width.saturating_sub(NUMBERS + shown)),
        };
        let place = place.filter(|place| {
            context.width.is_none_or(|width| {
                NUMBERS + shown + name.chars().count() + 2 + place.chars().count() <= width
            })
        });
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{:>11}  {:>7}  {:shown$}{name}",
            size(node.amount),
            size_share(node.amount, whole),
            ""
        );
        if let Some(place) = place {
            let _ = write!(text, "  {FAINT}{place}{FAINT:#}");
        }
        text.push('\n');
        let children = below(&tree, index, indent);
        stack.extend(children);
    }
    text
}

/// Lines that are to come with `next` and the `others`.
fn rest(tree: &Tree<'_>, mut others: Vec<Line>, next: usize) -> usize {
    let mut count = 1;
    others.extend(below(tree, next, 0));
    while let Some(line) = others.pop() {
        count += 1;
        others.extend(below(tree, line.node, 0));
    }
    count
}

/// The children that are shown, the heaviest last: it is taken first.
fn below(tree: &Tree<'_>, index: usize, indent: usize) -> Vec<Line> {
    let node = tree.node(index);
    let least = tree.node(0).amount.bytes * LEAST;
    let shown = node
        .children
        .iter()
        .copied()
        .filter(|&child| tree.node(child).amount.bytes >= least);
    let shown: Vec<usize> = shown.collect();
    // The root is no line: its children begin at the edge. A lone child goes on where its parent stands, unless the
    // parent keeps a part that would seem to be the child's.
    let goes_on = index == 0 || (shown.len() == 1 && node.own.bytes < least);
    let indent = if goes_on { indent } else { indent + 1 };
    shown
        .into_iter()
        .rev()
        .map(|node| Line { node, indent })
        .collect()
}
