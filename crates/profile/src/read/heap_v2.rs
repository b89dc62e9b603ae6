//! Heap_v2: the dump of jemalloc and jemoxide.
//!
//! ```text
//! heap_v2/524288
//!   t*: 25: 638168 [46: 552818]          the whole process: objects: bytes [since the beginning, the same]
//!   t0: 24: 635337 [45: 550588] name     one a thread
//! @ 0x7f143aaa2630 0x55c0f07d3a10        one block a stack, innermost frame first
//!   t*: 1: 262496 [1: 262496]
//!   t0: 1: 262496 [1: 262496]
//!
//! MAPPED_LIBRARIES:
//! 55c0f07d2000-55c0f07d3000 r-xp ...
//!
//! JEMOXIDE_DETAILS/1                     see `details`
//! ```
//! The numbers printed are those of the samples, corrected so that the formula of [`Amount::scaled`] makes estimates of
//! them. Source: `surface/prof_format.md` sections 1, 3 and 7.

use crate::amount::Amount;
use crate::build::Builder;
use crate::model::{Form, LocationId, Profile, ThreadShare};

use super::lines::{CUT_OFF, Counts, Line, counts, decimal, hexadecimal, lines, words};
use super::{Unreadable, too_many};
use super::{details, maps};

/// The warning where nothing tells which files lay where.
pub(super) const NO_MAP: &str = "The dump has no memory map at its end: it was cut off, or /proc was not readable. Names of \
     functions cannot be found.";

/// What the lines that come now are about.
enum Part {
    /// Totals of the process and of each thread.
    Header,
    /// The stack with this index.
    Stack(usize),
    Maps,
    Details(details::Reader),
    /// Behind the last line that means something.
    End,
}

/// Reads a whole dump.
pub(super) fn read(bytes: &[u8]) -> Result<Profile, Unreadable> {
    let mut all = lines(bytes);
    let Some(first) = all.next() else {
        return Err(Unreadable::new("the file is empty", CUT_OFF));
    };
    let period = first
        .whole()?
        .text
        .strip_prefix(b"heap_v2/")
        .and_then(decimal)
        .filter(|&period| period > 0)
        .ok_or_else(|| {
            first.wrong("`heap_v2/` must be followed by the sampling period in bytes")
        })?;

    let mut builder = Builder::new(Form::HeapV2, period);
    builder.profile.known.objects = true;
    let mut part = Part::Header;
    for line in all {
        if line.text.starts_with(details::HEADING) {
            part = match details::Reader::begin(&mut builder, line.whole()?)? {
                Some(reader) => Part::Details(reader),
                None => Part::End,
            };
            continue;
        }
        match &mut part {
            Part::Header | Part::Stack(_) if is_maps_heading(line.text) => {
                part = Part::Maps;
            }
            Part::Maps => map_line(&mut builder, line),
            Part::Details(reader) => {
                if reader.line(&mut builder, line.whole()?)? {
                    part = Part::End;
                }
            }
            Part::End => break,
            Part::Header | Part::Stack(_) if line.text.is_empty() => {}
            Part::Header | Part::Stack(_) => {
                let line = line.whole()?;
                if let Some(frames) = line.text.strip_prefix(b"@") {
                    let frames = addresses(&mut builder, frames).ok_or_else(|| {
                        line.wrong("after `@` only addresses such as 0x7f143aaa2630 can stand")
                    })?;
                    part = Part::Stack(builder.stack(frames).ok_or_else(too_many)?);
                    continue;
                }
                let entry = Entry::of(line)?;
                match part {
                    Part::Stack(index) => entry.add_to_stack(&mut builder, index),
                    _ => entry.add_to_header(&mut builder),
                }
            }
        }
    }
    match part {
        Part::Details(reader) => return Err(reader.unfinished(bytes)),
        _ if builder.profile.modules.is_empty() => {
            builder.profile.warnings.push(NO_MAP.to_owned());
        }
        _ => {}
    }
    Ok(builder.finish())
}

/// Return addresses of a line.
pub(super) fn addresses(builder: &mut Builder, text: &[u8]) -> Option<Vec<LocationId>> {
    words(text)
        .map(|word| hexadecimal(word).map(|address| builder.address(address)))
        .collect()
}

/// A line of the memory map.
pub(super) fn map_line(builder: &mut Builder, line: Line<'_>) {
    if !line.is_whole {
        builder.profile.warnings.push(
            "The memory map at the end of the dump is cut off: some functions will have no names."
                .to_owned(),
        );
        return;
    }
    if let Some(module) = maps::module(line.text) {
        builder.module(module);
    }
}

/// Whether the memory map follows.
pub(super) fn is_maps_heading(text: &[u8]) -> bool {
    text == maps::HEADING || text == maps::OTHER_HEADING
}

/// `t*: ...` or `t7: ... [name]`.
struct Entry<'a> {
    /// `None`: all threads.
    uid: Option<u64>,
    counts: Counts,
    name: &'a [u8],
}

impl<'a> Entry<'a> {
    fn of(line: Line<'a>) -> Result<Self, Unreadable> {
        let wrong = || {
            line.wrong(format!(
                "expected `t*: 25: 638168 [46: 552818]` or a stack, found {}",
                line.shown()
            ))
        };
        let rest = line.text.strip_prefix(b"t").ok_or_else(wrong)?;
        let colon = rest
            .iter()
            .position(|&byte| byte == b':')
            .ok_or_else(wrong)?;
        let uid = match &rest[..colon] {
            b"*" => None,
            digits => Some(decimal(digits).ok_or_else(wrong)?),
        };
        let (counts, name) = counts(&rest[colon + 1..]).ok_or_else(wrong)?;
        Ok(Self {
            uid,
            counts,
            name: name.trim_ascii(),
        })
    }

    fn add_to_header(&self, builder: &mut Builder) {
        let (live, cumulative) = self.amounts(builder);
        if let Some(uid) = self.uid {
            let id = builder.thread(uid);
            let thread = &mut builder.profile.threads[id.0 as usize];
            thread.live = live;
            thread.cumulative = cumulative;
            thread.name = String::from_utf8_lossy(self.name).into_owned();
        }
    }

    fn add_to_stack(&self, builder: &mut Builder, index: usize) {
        let (live, cumulative) = self.amounts(builder);
        match self.uid.map(|uid| builder.thread(uid)) {
            None => {
                let stack = &mut builder.profile.stacks[index];
                stack.live += live;
                stack.cumulative += cumulative;
            }
            Some(thread) => builder.profile.stacks[index].add_share(ThreadShare {
                thread,
                live,
                cumulative,
            }),
        }
    }

    fn amounts(&self, builder: &mut Builder) -> (Amount, Amount) {
        let period = builder.profile.period;
        let Counts { live, cumulative } = self.counts;
        if cumulative.0 > 0 {
            builder.profile.known.cumulative = true;
        }
        (
            Amount::scaled(live.0, live.1, period),
            Amount::scaled(cumulative.0, cumulative.1, period),
        )
    }
}

/// For `classic`, which has the same numbers.
pub(super) fn counts_of(line: Line<'_>) -> Result<(Counts, &[u8]), Unreadable> {
    counts(line.text).ok_or_else(|| {
        line.wrong(format!(
            "expected `1: 4096 [1: 4096] @ 0x...`, found {}",
            line.shown()
        ))
    })
}
