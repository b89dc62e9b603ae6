//! Collapsed: `main;work;parse 4096`, a line a stack, sorted, as flamegraph programs read it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::{Measure, Profile};

/// All stacks that have anything.
pub(super) fn write(profile: &Profile, measure: Measure) -> String {
    let mut lines: BTreeMap<String, f64> = BTreeMap::new();
    for stack in profile.stacks() {
        let bytes = stack.amount(measure).bytes;
        if bytes < 0.5 {
            continue;
        }
        let mut line = String::new();
        for frame in profile.frames(stack).rev() {
            if !line.is_empty() {
                line.push(';');
            }
            line.push_str(&plain(&frame.name()));
        }
        if line.is_empty() {
            line.push_str("(unknown)");
        }
        *lines.entry(line).or_default() += bytes;
    }
    let mut text = String::new();
    for (line, bytes) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line} {}", bytes.round() as u64);
    }
    text
}

/// A frame's name without what means something here, or makes a text look like bytes.
fn plain(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|each| match each {
            ';' => ':',
            other if other.is_control() => ' ',
            other => other,
        })
        .collect();
    match name.trim() {
        "" => "(unknown)".to_owned(),
        name => name.to_owned(),
    }
}
