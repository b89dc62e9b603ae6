//! RSS: where the memory of a process is, line by line.
//!
//! ```text
//! rss = live + internal_slack + free_slots + thread_caches + depot + run_cache + dirty + muzzy + huge_rounding
//!     + arenas + metadata + stacks + files + other + unexplained
//! ```
//! N1  Lines count bytes that have memory. `unexplained` is what is left, less than nothing where lines claim more than
//!     there is: the sum of all lines is `rss` by construction, and the test of the figures is that this one is small.
//! N2  What has no memory stands apart: it is not in `rss`.
//! N3  Every field is a 64-bit number of bytes, so that the record can lie in a report file.
//! See `accounts` for where the figures come from.
#![deny(unsafe_code)]

use core::fmt::{Result, Write};

/// Where the memory of a process is. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RssReport {
    /// Resident set of the process, by the system.
    pub rss: u64,
    /// Objects the application holds, by usable size: rounding of requests to size classes and pages is in it.
    pub live: u64,
    /// Ends of slabs, too short for a slot.
    pub internal_slack: u64,
    /// Free slots of partly used slabs, those on pages that have memory.
    pub free_slots: u64,
    /// Objects that threads keep for their next requests.
    pub thread_caches: u64,
    /// Objects that wait between threads, in full magazines.
    pub depot: u64,
    /// Freed large objects that wait for a request of their length.
    pub run_cache: u64,
    /// Idle pages.
    pub dirty: u64,
    /// Idle pages that the system may take when it likes, and has not yet.
    pub muzzy: u64,
    /// Free pages that have memory as part of a huge page only.
    pub huge_rounding: u64,
    /// Pages of arenas made by request, in use or idle.
    pub arenas: u64,
    /// The allocator's own records.
    pub metadata: u64,
    /// Stacks of threads; of those but the first as far as guards tell.
    pub stacks: u64,
    /// Code and data of the program and its libraries, the allocator's among them, and files mapped.
    pub files: u64,
    /// Memory that others mapped.
    pub other: u64,
    /// What no line accounts for; negative where lines claim too much.
    pub unexplained: i64,
    /// Not in `rss`: objects the application holds, on pages that were never written.
    pub live_untouched: u64,
    /// Not in `rss`: free slots on pages that gave their memory back, or never had any.
    pub slots_untouched: u64,
    /// Not in `rss`: addresses kept without memory.
    pub retained: u64,
    /// Not in `rss`: memory of the process that the system swapped out.
    pub swapped: u64,
    /// 1 if the system told, page by page, what has memory; 0: heap lines are what the books say.
    pub is_measured: u64,
    /// 1 if the system told what else is mapped; 0: that is in `unexplained`.
    pub is_divided: u64,
}

/// A line of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// [`RssReport::live`].
    Live,
    /// [`RssReport::internal_slack`].
    InternalSlack,
    /// [`RssReport::free_slots`].
    FreeSlots,
    /// [`RssReport::thread_caches`].
    ThreadCaches,
    /// [`RssReport::depot`].
    Depot,
    /// [`RssReport::run_cache`].
    RunCache,
    /// [`RssReport::dirty`].
    Dirty,
    /// [`RssReport::muzzy`].
    Muzzy,
    /// [`RssReport::huge_rounding`].
    HugeRounding,
    /// [`RssReport::arenas`].
    Arenas,
    /// [`RssReport::metadata`].
    Metadata,
    /// [`RssReport::stacks`].
    Stacks,
    /// [`RssReport::files`].
    Files,
    /// [`RssReport::other`].
    Other,
}

impl Part {
    /// All lines but `unexplained`, in the order they are shown in.
    pub const ALL: [Self; 14] = [
        Self::Live,
        Self::InternalSlack,
        Self::FreeSlots,
        Self::ThreadCaches,
        Self::Depot,
        Self::RunCache,
        Self::Dirty,
        Self::Muzzy,
        Self::HugeRounding,
        Self::Arenas,
        Self::Metadata,
        Self::Stacks,
        Self::Files,
        Self::Other,
    ];

    /// The name of its field.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::InternalSlack => "internal_slack",
            Self::FreeSlots => "free_slots",
            Self::ThreadCaches => "thread_caches",
            Self::Depot => "depot",
            Self::RunCache => "run_cache",
            Self::Dirty => "dirty",
            Self::Muzzy => "muzzy",
            Self::HugeRounding => "huge_rounding",
            Self::Arenas => "arenas",
            Self::Metadata => "metadata",
            Self::Stacks => "stacks",
            Self::Files => "files",
            Self::Other => "other",
        }
    }

    /// What it is, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Live => "live objects",
            Self::InternalSlack => "ends of slabs",
            Self::FreeSlots => "free slots in used slabs",
            Self::ThreadCaches => "thread caches",
            Self::Depot => "depot, between threads",
            Self::RunCache => "freed large objects",
            Self::Dirty => "dirty pages",
            Self::Muzzy => "muzzy pages",
            Self::HugeRounding => "rounding to huge pages",
            Self::Arenas => "arenas made by request",
            Self::Metadata => "allocator's records",
            Self::Stacks => "stacks",
            Self::Files => "program, libraries, files",
            Self::Other => "mapped by others",
        }
    }

    /// What makes it smaller, where something does.
    pub const fn cure(self) -> Option<&'static str> {
        match self {
            Self::FreeSlots => Some(
                "pages among them that only free slots touch go back within dirty_decay_ms; the rest is held by \
                 live objects on the same pages",
            ),
            Self::ThreadCaches => {
                Some("caches of threads that rest go back after a second; fewer threads hold less")
            }
            Self::Depot => Some("goes back within about a second once the program's needs fall"),
            Self::RunCache => {
                Some("goes back within a second or two; malloc_trim(0) gives it back at once")
            }
            Self::Dirty => Some(
                "goes back within dirty_decay_ms (10 s by default); a lower dirty_decay_ms gives it back sooner, \
                 malloc_trim(0) at once",
            ),
            Self::Muzzy => Some(
                "the system takes it when it needs memory; muzzy_decay_ms:0 keeps no such pages",
            ),
            Self::HugeRounding => Some("thp:never keeps huge pages away from the heap"),
            Self::Live
            | Self::InternalSlack
            | Self::Arenas
            | Self::Metadata
            | Self::Stacks
            | Self::Files
            | Self::Other => None,
        }
    }
}

impl RssReport {
    /// Nothing is known.
    pub const ZERO: Self = Self {
        rss: 0,
        live: 0,
        internal_slack: 0,
        free_slots: 0,
        thread_caches: 0,
        depot: 0,
        run_cache: 0,
        dirty: 0,
        muzzy: 0,
        huge_rounding: 0,
        arenas: 0,
        metadata: 0,
        stacks: 0,
        files: 0,
        other: 0,
        unexplained: 0,
        live_untouched: 0,
        slots_untouched: 0,
        retained: 0,
        swapped: 0,
        is_measured: 0,
        is_divided: 0,
    };

    /// The bytes of a line.
    pub const fn bytes(&self, part: Part) -> u64 {
        match part {
            Part::Live => self.live,
            Part::InternalSlack => self.internal_slack,
            Part::FreeSlots => self.free_slots,
            Part::ThreadCaches => self.thread_caches,
            Part::Depot => self.depot,
            Part::RunCache => self.run_cache,
            Part::Dirty => self.dirty,
            Part::Muzzy => self.muzzy,
            Part::HugeRounding => self.huge_rounding,
            Part::Arenas => self.arenas,
            Part::Metadata => self.metadata,
            Part::Stacks => self.stacks,
            Part::Files => self.files,
            Part::Other => self.other,
        }
    }

    /// Sets `unexplained` to what the other lines leave of `rss` (N1).
    pub fn balance(&mut self) {
        let explained: u64 = Part::ALL
            .iter()
            .fold(0, |sum, &part| sum.saturating_add(self.bytes(part)));
        self.unexplained = self.rss.wrapping_sub(explained) as i64;
    }

    /// The largest line that something makes smaller, if it is worth a word: a twentieth of all and 1 MiB at least.
    pub fn largest_avoidable(&self) -> Option<Part> {
        let part = Part::ALL
            .into_iter()
            .filter(|part| part.cure().is_some())
            .max_by_key(|&part| self.bytes(part))?;
        let bytes = self.bytes(part);
        (bytes >= 1 << 20 && bytes >= self.rss / 20).then_some(part)
    }

    /// Writes the report as a JSON object, one line, every field by its name.
    pub fn write_json(&self, out: &mut dyn Write) -> Result {
        out.write_str("{\"rss\":")?;
        decimal(self.rss, out)?;
        for part in Part::ALL {
            json_field(part.key(), self.bytes(part), out)?;
        }
        out.write_str(",\"unexplained\":")?;
        if self.unexplained < 0 {
            out.write_str("-")?;
        }
        decimal(self.unexplained.unsigned_abs(), out)?;
        let rest = [
            ("live_untouched", self.live_untouched),
            ("slots_untouched", self.slots_untouched),
            ("retained", self.retained),
            ("swapped", self.swapped),
        ];
        for (name, bytes) in rest {
            json_field(name, bytes, out)?;
        }
        for (name, holds) in [
            ("is_measured", self.is_measured),
            ("is_divided", self.is_divided),
        ] {
            out.write_str(",\"")?;
            out.write_str(name)?;
            out.write_str(if holds == 1 { "\":true" } else { "\":false" })?;
        }
        out.write_str("}")
    }

    /// Writes the report as a table, a line each: what, KiB, percent.
    pub fn write_text(&self, out: &mut dyn Write) -> Result {
        for part in Part::ALL {
            self.line(part.title(), false, self.bytes(part), out)?;
        }
        let negative = self.unexplained < 0;
        self.line(
            "unexplained",
            negative,
            self.unexplained.unsigned_abs(),
            out,
        )?;
        self.line("resident set", false, self.rss, out)
    }

    fn line(&self, title: &str, negative: bool, bytes: u64, out: &mut dyn Write) -> Result {
        const WIDTH: usize = 28;
        const NUMBER: usize = 12;
        out.write_str(title)?;
        let kilobytes = bytes.div_ceil(1024);
        let room = WIDTH.saturating_sub(title.len())
            + NUMBER.saturating_sub(digits_of(kilobytes) + usize::from(negative));
        pad(room, out)?;
        if negative {
            out.write_str("-")?;
        }
        decimal(kilobytes, out)?;
        out.write_str(" KiB")?;
        let percent = (u128::from(bytes) * 100 / u128::from(self.rss.max(1))) as u64;
        pad(5usize.saturating_sub(digits_of(percent)), out)?;
        decimal(percent, out)?;
        out.write_str(" %\n")
    }
}

fn json_field(name: &str, bytes: u64, out: &mut dyn Write) -> Result {
    out.write_str(",\"")?;
    out.write_str(name)?;
    out.write_str("\":")?;
    decimal(bytes, out)
}

fn pad(blanks: usize, out: &mut dyn Write) -> Result {
    (0..blanks).try_for_each(|_| out.write_str(" "))
}

fn digits_of(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

fn decimal(number: u64, out: &mut dyn Write) -> Result {
    if number >= 10 {
        decimal(number / 10, out)?;
    }
    let digit = (number % 10) as usize;
    out.write_str("0123456789".get(digit..=digit).unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn example() -> RssReport {
        let mut report = RssReport {
            rss: 100 << 20,
            live: 60 << 20,
            dirty: 30 << 20,
            files: 4 << 20,
            retained: 5,
            is_measured: 1,
            ..RssReport::default()
        };
        report.balance();
        report
    }

    #[test]
    fn lines_and_the_remainder_are_all_there_is() {
        let mut report = example();
        assert_eq!(report.unexplained, 6 << 20);
        report.live = 70 << 20;
        report.balance();
        assert_eq!(report.unexplained, -(4 << 20));
    }

    #[test]
    fn json_has_every_field() {
        let mut text = String::new();
        example().write_json(&mut text).unwrap();
        assert!(text.starts_with("{\"rss\":104857600,\"live\":62914560,\"internal_slack\":0,"));
        assert!(text.contains(",\"unexplained\":6291456,\"live_untouched\":0,"));
        assert!(
            text.ends_with(
                ",\"retained\":5,\"swapped\":0,\"is_measured\":true,\"is_divided\":false}"
            )
        );
        let mut report = example();
        report.unexplained = -17;
        let mut text = String::new();
        report.write_json(&mut text).unwrap();
        assert!(text.contains("\"unexplained\":-17,"));
    }

    #[test]
    fn text_lines_up() {
        let mut text = String::new();
        example().write_text(&mut text).unwrap();
        assert_eq!(text.lines().count(), Part::ALL.len() + 2);
        let width = text.lines().next().unwrap().len();
        assert!(text.lines().all(|line| line.len() == width), "{text}");
        assert!(
            text.contains("dirty pages                        30720 KiB   30 %\n"),
            "{text}"
        );
    }

    #[test]
    fn the_largest_avoidable_line_is_named_if_it_is_worth_it() {
        assert_eq!(example().largest_avoidable(), Some(Part::Dirty));
        let small = RssReport {
            dirty: 4 << 20,
            ..example()
        };
        assert_eq!(small.largest_avoidable(), None);
        assert_eq!(RssReport::default().largest_avoidable(), None);
    }
}
