//! Options from text: `key:value,key:value`.
//!
//! Sources in order, later wins: the variables `MALLOC_CONF` and `JEMOXIDE_CONF`.
//!
//! N1  A bad key or value gets one line that names it and what would be right; the rest still counts.
//! N2  Nothing that is said here can keep the allocator from working.
#![deny(unsafe_code)]

use crate::ds::text::Line;
use crate::options::{BackgroundThread, Dss, Options, PATH_MAX, ZeroRealloc};

const SWITCH: &str = "true or false";
const DECAY: &str = "milliseconds from -1 (never) to 9223372036854";

/// A key, and what its values are.
struct Key {
    name: &'static str,
    values: &'static str,
    set: fn(&mut Options, &'static [u8]) -> Option<()>,
}

const KEYS: &[Key] = &[
    Key {
        name: "narenas",
        values: "a number from 1 to 32",
        set: narenas,
    },
    Key {
        name: "dirty_decay_ms",
        values: DECAY,
        set: dirty_decay_ms,
    },
    Key {
        name: "muzzy_decay_ms",
        values: DECAY,
        set: muzzy_decay_ms,
    },
    Key {
        name: "background_thread",
        values: "true, false or auto",
        set: background_thread,
    },
    Key {
        name: "max_background_threads",
        values: "a number",
        set: max_background_threads,
    },
    Key {
        name: "cgroup",
        values: SWITCH,
        set: cgroup,
    },
    Key {
        name: "dss",
        values: "disabled, primary or secondary",
        set: dss,
    },
    Key {
        name: "zero_realloc",
        values: "alloc, free or abort",
        set: zero_realloc,
    },
    Key {
        name: "abort_conf",
        values: SWITCH,
        set: abort_conf,
    },
    Key {
        name: "count",
        values: SWITCH,
        set: count,
    },
    Key {
        name: "report_dir",
        values: "a path of at most 200 bytes",
        set: report_dir,
    },
];

/// Applies the options in `text` to `options`; `complain` gets a line for each that is bad.
#[cold]
#[inline(never)]
pub(crate) fn apply(options: &mut Options, text: &'static [u8], mut complain: impl FnMut(&[u8])) {
    for pair in text.split(|&byte| byte == b',') {
        if pair.is_empty() {
            continue;
        }
        let mut line = Line::new();
        line.text("<jemoxide>: ");
        let colon = pair.iter().position(|&byte| byte == b':');
        let Some((name, value)) = colon.map(|at| (&pair[..at], &pair[at + 1..])) else {
            line.text("option without a value (write key:value): ")
                .bytes(pair);
            complain(line.text("\n").as_bytes());
            continue;
        };
        match KEYS.iter().find(|key| key.name.as_bytes() == name) {
            None => {
                line.text("unknown option, ignored: ").bytes(pair);
                if let Some(near) = nearest(name) {
                    line.text(" (did you mean ").text(near).text("?)");
                }
                complain(line.text("\n").as_bytes());
            }
            Some(key) if (key.set)(options, value).is_none() => {
                line.text("invalid option value, ignored: ").bytes(pair);
                line.text(" (wants ").text(key.values).text(")");
                complain(line.text("\n").as_bytes());
            }
            Some(_) => {}
        }
    }
}

/// The known key that differs least from `name`, if it is near.
fn nearest(name: &[u8]) -> Option<&'static str> {
    let near = KEYS
        .iter()
        .map(|key| (distance(name, key.name.as_bytes()), key.name))
        .min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Insertions, deletions and replacements between two short texts; long ones count as far apart.
fn distance(left: &[u8], right: &[u8]) -> usize {
    const LONGEST: usize = 32;
    if left.len() > LONGEST || right.len() > LONGEST {
        return usize::MAX;
    }
    let mut row = [0; LONGEST + 1];
    for (column, cell) in row.iter_mut().enumerate() {
        *cell = column;
    }
    for (at, byte) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

fn number(text: &[u8]) -> Option<i64> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn switch(text: &[u8]) -> Option<bool> {
    match text {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Whether `value` is a decay time.
pub(crate) fn is_decay_ms(value: i64) -> bool {
    (-1..=9_223_372_036_854).contains(&value)
}

fn decay(text: &[u8]) -> Option<isize> {
    let value = number(text)?;
    is_decay_ms(value).then_some(value as isize)
}

fn narenas(options: &mut Options, value: &'static [u8]) -> Option<()> {
    let count = number(value)?;
    options.narenas = (1..=32).contains(&count).then_some(count as usize)?;
    Some(())
}

fn dirty_decay_ms(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.dirty_decay_ms = decay(value)?;
    Some(())
}

fn muzzy_decay_ms(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.muzzy_decay_ms = decay(value)?;
    Some(())
}

fn background_thread(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.background_thread = match value {
        b"auto" => BackgroundThread::Auto,
        _ if switch(value)? => BackgroundThread::Always,
        _ => BackgroundThread::Never,
    };
    Some(())
}

/// Any bound is kept: there is one thread at most.
fn max_background_threads(_: &mut Options, value: &'static [u8]) -> Option<()> {
    (number(value)? >= 0).then_some(())
}

fn cgroup(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.cgroup = switch(value)?;
    Some(())
}

fn dss(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.dss = match value {
        b"disabled" => Dss::Disabled,
        b"primary" => Dss::Primary,
        b"secondary" => Dss::Secondary,
        _ => return None,
    };
    Some(())
}

fn zero_realloc(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.zero_realloc = match value {
        b"alloc" => ZeroRealloc::Alloc,
        b"free" => ZeroRealloc::Free,
        b"abort" => ZeroRealloc::Abort,
        _ => return None,
    };
    Some(())
}

fn abort_conf(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.abort_conf = switch(value)?;
    Some(())
}

fn count(options: &mut Options, value: &'static [u8]) -> Option<()> {
    options.count = switch(value)?;
    Some(())
}

fn report_dir(options: &mut Options, value: &'static [u8]) -> Option<()> {
    if value.is_empty() || value.len() > PATH_MAX {
        return None;
    }
    options.report_dir = value;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn read(text: &'static str) -> (Options, Vec<String>) {
        let mut options = Options::DEFAULT;
        let mut lines = Vec::new();
        apply(&mut options, text.as_bytes(), |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        });
        (options, lines)
    }

    #[test]
    fn good_pairs_are_taken_and_later_ones_win() {
        let (options, lines) = read(
            "narenas:3,dirty_decay_ms:-1,dss:primary,zero_realloc:abort,count:true,narenas:4,",
        );
        assert_eq!(lines, [""; 0]);
        assert_eq!((options.narenas, options.dirty_decay_ms), (4, -1));
        assert_eq!(
            (options.dss, options.zero_realloc),
            (Dss::Primary, ZeroRealloc::Abort)
        );
        assert!(options.count);
        let (options, _) = read("report_dir:/tmp/x");
        assert_eq!(options.report_dir, b"/tmp/x");
    }

    #[test]
    fn bad_ones_are_named_and_the_rest_counts() {
        let (options, lines) = read("narena:3,narenas:0,dss,count:yes,muzzy_decay_ms:5");
        assert_eq!(options.muzzy_decay_ms, 5);
        assert_eq!(options.narenas, 0);
        assert_eq!(
            lines,
            [
                "<jemoxide>: unknown option, ignored: narena:3 (did you mean narenas?)\n",
                "<jemoxide>: invalid option value, ignored: narenas:0 (wants a number from 1 to 32)\n",
                "<jemoxide>: option without a value (write key:value): dss\n",
                "<jemoxide>: invalid option value, ignored: count:yes (wants true or false)\n",
            ]
        );
    }

    #[test]
    fn decay_times_are_limited() {
        for (text, taken) in [
            ("-2", false),
            ("-1", true),
            ("0", true),
            ("9223372036855", false),
            ("", false),
        ] {
            let (_, lines) = read(std::format!("dirty_decay_ms:{text}").leak());
            assert_eq!(lines.is_empty(), taken, "{text}");
        }
    }
}
