//! Collapsed: `main;work;parse 4096`, a line a stack, sorted, as flamegraph programs read it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::{Measure, Profile};
use crate::read::UNPACKED_MAX;

use super::Unwritable;

/// All stacks that have anything. Names stand in it again and again: from a small profile a text can come that nobody reads.
pub(super) fn write(profile: &Profile, measure: Measure) -> Result<String, Unwritable> {
    write_within(profile, measure, UNPACKED_MAX as usize)
}

fn write_within(profile: &Profile, measure: Measure, most: usize) -> Result<String, Unwritable> {
    let mut lines: BTreeMap<String, f64> = BTreeMap::new();
    let mut length = 0;
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
            if length + line.len() > most {
                return Err(TOO_LONG);
            }
        }
        if line.is_empty() {
            line.push_str("(unknown)");
        }
        match lines.get_mut(&line) {
            Some(sum) => *sum += bytes,
            None => {
                length += line.len();
                lines.insert(line, bytes);
            }
        }
    }
    let mut text = String::new();
    for (line, bytes) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line} {}", bytes.round() as u64);
    }
    Ok(text)
}

const TOO_LONG: Unwritable = Unwritable(
    "as collapsed stacks it would be longer than 512 MiB: names stand in them once for each stack. Convert to pprof \
     (.pb.gz), where they stand once.",
);

/// A frame's name without what means something here, or makes a text look like bytes.
fn plain<'a>(name: &'a str) -> Cow<'a, str> {
    let is_wrong = |each: char| each == ';' || each.is_control();
    let name = match name.contains(is_wrong) {
        false => Cow::Borrowed(name),
        true => Cow::Owned(name.replace(';', ":").replace(char::is_control, " ")),
    };
    match name.trim() {
        "" => Cow::Borrowed("(unknown)"),
        trimmed if trimmed.len() == name.len() => name,
        trimmed => Cow::Owned(trimmed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_again_in_every_stack_fill_no_memory() {
        let profile = Profile::read(b"main;work;one 1\nmain;work;two 2\n").expect("well formed");
        let all = write_within(&profile, Measure::Live, 26).expect("26 bytes of names");
        assert_eq!(all.lines().count(), 2);
        let why = write_within(&profile, Measure::Live, 25).expect_err("too long");
        assert!(why.to_string().contains("Convert to pprof"), "{why}");
    }

    #[test]
    fn names_are_plain() {
        for (name, shown) in [
            ("main", "main"),
            (" a;b\u{9b}\n ", "a:b"),
            (" \t", "(unknown)"),
            ("é é", "é é"),
        ] {
            assert_eq!(plain(name), shown);
        }
    }
}
