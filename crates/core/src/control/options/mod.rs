//! Options from text: `key:value,key:value`.
//!
//! ```text
//! text ──pairs──> keys (a row a key) ──> slot (the place in Options) ──> numbers, words
//!                   └ preset ──> presets: more text, read at once
//! ```
//! `sources` tells where text comes from, `explain` what it comes to.
//!
//! N1  A bad key or value gets one line that names it and what would be right; the rest still counts.
//! N2  Nothing that is said here can keep the allocator from working.
//! N3  A later pair overrides an earlier one, be it of the same source, an earlier source or a preset.
#![deny(unsafe_code)]

mod explain;
pub(crate) mod keys;
mod label;
mod near;
pub(super) mod numbers;
mod presets;
mod slot;
mod sources;
pub(super) mod spans;
mod words;

use super::tcache;
use crate::ds::text::Line;
use crate::options::Options;
pub use explain::{Setting, explain};
pub(crate) use keys::is_decay_ms;
use keys::{KEYS, Key, Reach};
pub use sources::Origin;
pub(crate) use sources::{BUILD, gather};

/// What is told while text is read.
pub(crate) enum News<'a> {
    /// A pair counts; with the number of its key.
    Taken(usize, &'a [u8]),
    /// A pair counts, and has no effect, or less than it asks for; the line says why.
    Unheard(&'a [u8]),
    /// A pair does not count; the line says why.
    Wrong(&'a [u8]),
}

/// Applies the options in `text` to `options`; `hear` is told what becomes of each pair.
#[cold]
#[inline(never)]
pub(crate) fn apply(
    options: &mut Options,
    origin: Origin,
    text: &'static [u8],
    hear: &mut dyn FnMut(Origin, News<'_>),
) {
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
            hear(origin, News::Wrong(line.text("\n").as_bytes()));
            continue;
        };
        let Some(at) = keys::find(name) else {
            line.text("unknown option, ignored: ").bytes(pair);
            let known = KEYS.iter().map(|key| key.name().as_bytes());
            if let Some(near) = near::nearest(name, known) {
                line.text(" (did you mean ").bytes(near).text("?)");
            }
            hear(origin, News::Wrong(line.text("\n").as_bytes()));
            continue;
        };
        let read = keys::place(at, options).and_then(|slot| slot.read(value));
        if read.is_none() {
            line.text("invalid option value, ignored: ")
                .bytes(pair)
                .text(" (wants ");
            if let Some(slot) = keys::place(at, options) {
                slot.wants(&mut line);
            }
            hear(origin, News::Wrong(line.text(")\n").as_bytes()));
            continue;
        }
        hear(origin, News::Taken(at, pair));
        if let Some((heard, why)) = unheard(at, value, options) {
            line.text(heard).bytes(pair);
            line.text(" (").text(why).text(")\n");
            hear(origin, News::Unheard(line.as_bytes()));
        }
        if name == b"preset" {
            let preset = options.preset;
            apply(
                options,
                Origin::Preset(preset),
                presets::bundle(preset),
                hear,
            );
        }
    }
}

/// The value of key number `at` as an option has it.
#[cold]
#[inline(never)]
pub(crate) fn shown(at: usize, options: &Options) -> Line {
    let mut copy = *options;
    let mut line = Line::new();
    if let Some(slot) = keys::place(at, &mut copy) {
        slot.show(&mut line);
    }
    line
}

/// How far `value`, which key number `at` was given, is heard, if not in full; and why (K1).
#[cold]
#[inline(never)]
fn unheard(at: usize, value: &[u8], options: &Options) -> Option<(&'static str, &'static str)> {
    let key: &Key = KEYS.get(at)?;
    let (heard, is_beyond) = match key.reach {
        Reach::Whole => return None,
        Reach::Nowhere => ("option without effect: ", true),
        Reach::UpTo(most) => (
            "option honoured in part: ",
            numbers::unsigned(value).is_some_and(|number| number > most.into()),
        ),
        Reach::Cached => ("option honoured in part: ", tcache::is_beyond(value)),
    };
    let value = shown(at, options);
    let default = shown(at, &Options::DEFAULT);
    let done_anyway = [default.as_bytes(), key.fits_too.as_bytes()];
    let is_heard = !is_beyond || done_anyway.contains(&value.as_bytes());
    (!is_heard).then_some((heard, key.unheard.as_str()))
}

#[cfg(test)]
mod tests;
