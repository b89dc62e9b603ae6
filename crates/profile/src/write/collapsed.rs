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
            // The two characters that mean something here.
            line.extend(frame.name().chars().map(|each| match each {
                ';' => ':',
                '\n' | '\r' => ' ',
                other => other,
            }));
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
