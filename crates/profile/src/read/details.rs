//! Details: what a dump of jemoxide tells beyond jemalloc's form (option `prof_details`).
//!
//! ```text
//! JEMOXIDE_DETAILS/1
//! time <ns since the profiler started> <unix seconds>
//! peak <estimated live bytes> <ns since the profiler started>
//! thread <uid> <name or nothing>
//! class <usable size> <objects> <slabs> <bytes of slabs> <bytes of free slots>
//! @ 0x.. 0x..                                 one block a stack, the frames as above
//!   p <8 N> <bytes>                           live at the high-water mark
//!   c <8 N> <bytes>                           since the beginning
//!   l <lg2 ns> <8 N> <bytes>                  died at that age
//!   g <tag> <8 N> <bytes>                     since the beginning under a tag
//!   o <usable> <requested> <age ns> <thread uid> <tag> <generation>
//! end
//! ```
//! `8 N` is eight times the estimated number of objects: these sums need no formula any more. Other readers stop at the
//! memory map and never see this. A section of a later version is passed over with a warning.

use crate::amount::Amount;
use crate::build::Builder;
use crate::model::{ClassUse, Lifetime, Object, Peak, TagShare, Time};

use super::heap_v2::addresses;
use super::lines::{CUT_OFF, Line, decimal, words};
use super::{Unreadable, too_many};

/// What every version of the section begins with.
pub(super) const HEADING: &[u8] = b"JEMOXIDE_DETAILS/";
const VERSION: &[u8] = b"1";

/// Where in the section we are.
pub(super) struct Reader {
    /// Index of the stack that lines are about.
    stack: Option<usize>,
}

impl Reader {
    /// At the heading. `None`: a version that this reader does not know.
    pub(super) fn begin(
        builder: &mut Builder,
        heading: Line<'_>,
    ) -> Result<Option<Self>, Unreadable> {
        let version = &heading.text[HEADING.len()..];
        if version != VERSION {
            if decimal(version).is_none() {
                return Err(heading.wrong("`JEMOXIDE_DETAILS/` must be followed by a number"));
            }
            builder.profile.warnings.push(format!(
                "The dump's details are of version {}, which this command does not know: it tells what every heap_v2 \
                 dump has. Use the command that came with the library.",
                String::from_utf8_lossy(version)
            ));
            return Ok(None);
        }
        let known = &mut builder.profile.known;
        known.cumulative = true;
        known.lifetimes = true;
        known.ages = true;
        // The sums of this section take the place of the rounded ones above.
        for stack in &mut builder.profile.stacks {
            stack.cumulative = Amount::ZERO;
        }
        Ok(Some(Self { stack: None }))
    }

    /// One line of it; `true` at its end.
    pub(super) fn line(
        &mut self,
        builder: &mut Builder,
        line: Line<'_>,
    ) -> Result<bool, Unreadable> {
        if let Some(frames) = line.text.strip_prefix(b"@") {
            let frames = addresses(builder, frames)
                .ok_or_else(|| line.wrong("after `@` only addresses can stand"))?;
            self.stack = Some(builder.stack(frames).ok_or_else(too_many)?);
            return Ok(false);
        }
        let mut rest = words(line.text);
        let Some(key) = rest.next() else {
            return Ok(false);
        };
        if key == b"end" {
            return Ok(true);
        }
        if key == b"thread" {
            return self.thread(builder, line).map(|()| false);
        }
        let numbers = Numbers::of(rest)
            .ok_or_else(|| line.wrong(format!("expected numbers, found {}", line.shown())))?;
        match (key, self.stack) {
            (b"time" | b"peak" | b"class", _) => whole_process(builder, key, &numbers),
            (b"p" | b"c" | b"l" | b"g" | b"o", Some(stack)) => {
                of_stack(builder, stack, key, &numbers)
            }
            _ => None,
        }
        .ok_or_else(|| line.wrong(format!("{} is no line of the details", line.shown())))?;
        Ok(false)
    }

    /// The error of input that stops within the section.
    pub(super) fn unfinished(&self, bytes: &[u8]) -> Unreadable {
        let line = super::lines::lines(bytes).count();
        Unreadable::at(line, "the details have no `end`", CUT_OFF)
    }

    fn thread(&self, builder: &mut Builder, line: Line<'_>) -> Result<(), Unreadable> {
        let rest = line.text[b"thread".len()..].trim_ascii_start();
        let end = rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(rest.len());
        let (uid, name) = rest.split_at(end);
        let uid = Some(uid)
            .filter(|uid| !uid.is_empty())
            .and_then(decimal)
            .ok_or_else(|| line.wrong("`thread` must be followed by the thread's number"))?;
        let id = builder.thread(uid);
        let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
        if !name.is_empty() {
            builder.profile.threads[id.0 as usize].name = name;
        }
        Ok(())
    }
}

/// The numbers after a key: never more than six.
struct Numbers {
    all: [u64; 6],
    count: usize,
}

impl Numbers {
    fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut numbers = Self {
            all: [0; 6],
            count: 0,
        };
        for word in words {
            *numbers.all.get_mut(numbers.count)? = decimal(word)?;
            numbers.count += 1;
        }
        Some(numbers)
    }

    /// As many as are wanted, no more and no fewer.
    fn exactly<const N: usize>(&self) -> Option<[u64; N]> {
        (self.count == N)
            .then(|| self.all.first_chunk().copied())
            .flatten()
    }
}

fn whole_process(builder: &mut Builder, key: &[u8], numbers: &Numbers) -> Option<()> {
    let profile = &mut builder.profile;
    match key {
        b"time" => {
            let [since_start_ns, unix_seconds] = numbers.exactly()?;
            profile.time = Some(Time {
                since_start_ns,
                unix_seconds,
            });
        }
        b"peak" => {
            let [bytes, at_ns] = numbers.exactly()?;
            profile.peak = Some(Peak { bytes, at_ns });
            profile.known.peak = true;
        }
        _ => {
            let [size, objects, slabs, slab_bytes, free_bytes] = numbers.exactly()?;
            profile.classes.push(ClassUse {
                size,
                objects,
                slabs,
                slab_bytes,
                free_bytes,
            });
        }
    }
    Some(())
}

fn of_stack(builder: &mut Builder, stack: usize, key: &[u8], numbers: &Numbers) -> Option<()> {
    let period = builder.profile.period;
    let amount = |eight_objects: u64, bytes: u64| {
        Amount::estimated(eight_objects as f64 / 8.0, bytes as f64, period)
    };
    if key == b"o" {
        let [usable, requested, age_ns, uid, tag, generation] = numbers.exactly()?;
        let thread = builder.thread(uid);
        builder.profile.stacks[stack].objects.push(Object {
            usable,
            requested,
            age_ns,
            thread,
            tag: u16::try_from(tag).ok()?,
            generation,
        });
        return Some(());
    }
    let stack = &mut builder.profile.stacks[stack];
    match key {
        b"p" => {
            let [objects, bytes] = numbers.exactly()?;
            stack.peak += amount(objects, bytes);
        }
        b"c" => {
            let [objects, bytes] = numbers.exactly()?;
            stack.cumulative += amount(objects, bytes);
        }
        b"l" => {
            let [lg_ns, objects, bytes] = numbers.exactly()?;
            stack.lifetimes.push(Lifetime {
                lg_ns: u8::try_from(lg_ns).ok().filter(|&lg_ns| lg_ns < 64)?,
                amount: amount(objects, bytes),
            });
        }
        _ => {
            let [tag, objects, bytes] = numbers.exactly()?;
            stack.tags.push(TagShare {
                tag: u16::try_from(tag).ok()?,
                cumulative: amount(objects, bytes),
            });
        }
    }
    Some(())
}
