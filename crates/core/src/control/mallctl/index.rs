//! Indexes: components of a name that are numbers, and which numbers they may be.
#![deny(unsafe_code)]

use super::keys::counts_classes;
use crate::arena::automatic;
use crate::arena::manual::{self, ArenaRef};
use crate::extent::RUN_CLASSES;
use crate::size::{CLASSES, PAGE_CLASSES, SMALL_CLASSES};

/// Numbers of runs that are told apart.
const BATCHES: usize = 9;

/// Stands for all arenas.
pub(super) const ARENAS_ALL: usize = 4096;
/// Stands for the arenas that were destroyed.
pub(super) const ARENAS_DESTROYED: usize = 4097;

/// What is counted by an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Index {
    /// Arenas there may be, all of them, and those that are no more.
    Arena,
    /// Arenas there are, all of them, and those that are no more, if any.
    StatsArena,
    /// Arenas there are.
    OneArena,
    /// Small classes.
    Small,
    /// Large classes.
    Large,
    /// Page classes.
    PageClass,
    /// Page classes of runs within a huge page.
    RunClass,
    /// Runs handed out at a time, up to eight.
    Batch,
    /// Small classes, where samples are counted by class.
    SampledSmall,
    /// Large classes, the same.
    SampledLarge,
}

/// Which index stands behind a name's first `len` bytes.
pub(super) const fn of_prefix(name: &[u8], len: usize) -> Index {
    if ends_with(name, len, b"stats.arenas.") {
        Index::StatsArena
    } else if ends_with(name, len, b"prof.stats.bins.")
        || ends_with(name, len, b"prof.stats.lextents.")
    {
        match ends_with(name, len, b"prof.stats.bins.") {
            true => Index::SampledSmall,
            false => Index::SampledLarge,
        }
    } else if ends_with(name, len, b"experimental.arenas.") {
        Index::OneArena
    } else if ends_with(name, len, b"lextent.") || ends_with(name, len, b"lextents.") {
        Index::Large
    } else if ends_with(name, len, b"bin.") || ends_with(name, len, b"bins.") {
        Index::Small
    } else if ends_with(name, len, b".extents.") {
        Index::PageClass
    } else if ends_with(name, len, b"nonfull_slabs.") {
        Index::RunClass
    } else if ends_with(name, len, b"hpa_shard.alloc.") {
        Index::Batch
    } else {
        assert!(ends_with(name, len, b"arena."), "an index of what?");
        Index::Arena
    }
}

const fn ends_with(name: &[u8], len: usize, end: &[u8]) -> bool {
    if len < end.len() {
        return false;
    }
    let mut at = 0;
    while at < end.len() {
        if name[len - end.len() + at] != end[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl Index {
    /// Whether `number` is one.
    pub(super) fn holds(self, number: usize) -> bool {
        match self {
            Self::Arena => {
                number <= manual::end() || matches!(number, ARENAS_ALL | ARENAS_DESTROYED)
            }
            Self::StatsArena => match number {
                ARENAS_ALL => true,
                ARENAS_DESTROYED => manual::is_any_destroyed(),
                _ => number == manual::end() || Self::OneArena.holds(number),
            },
            Self::OneArena => number < automatic() || manual::get(number).is_some(),
            Self::Small => number < SMALL_CLASSES,
            Self::Large => number < CLASSES - SMALL_CLASSES,
            Self::PageClass => number < PAGE_CLASSES,
            Self::RunClass => number < RUN_CLASSES,
            Self::Batch => number < BATCHES,
            Self::SampledSmall => counts_classes() && Self::Small.holds(number),
            Self::SampledLarge => counts_classes() && Self::Large.holds(number),
        }
    }
}

/// The arenas that an index stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arenas {
    /// An automatic one.
    One(usize),
    /// One made by request.
    Manual(ArenaRef),
    /// One that was made by request and is no more, its index free.
    Absent,
    All,
    Destroyed,
}

impl Arenas {
    /// Whether what all automatic arenas share is among theirs: it stands with the first.
    pub(super) fn hold_shared(self) -> bool {
        matches!(self, Self::One(0) | Self::All)
    }

    /// Whether the arena with that number is one of them.
    pub(super) fn include(self, index: usize) -> bool {
        match self {
            Self::One(one) => one == index,
            Self::All => true,
            Self::Manual(_) | Self::Absent | Self::Destroyed => false,
        }
    }

    /// What an index of an arena, which was found to be one, stands for: their number stands for all, too.
    pub(super) fn of(index: usize) -> Self {
        match index {
            ARENAS_DESTROYED => Self::Destroyed,
            index if index < automatic() => Self::One(index),
            index if index < manual::end() => manual::get(index).map_or(Self::Absent, Self::Manual),
            _ => Self::All,
        }
    }
}

/// Reads an index as the original does: blanks and a sign may come first, anything may follow the digits.
pub(super) fn parse(text: &[u8]) -> Option<usize> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !blank(byte))?;
    let (negative, from) = match text[start] {
        b'+' => (false, start + 1),
        b'-' => (true, start + 1),
        _ => (false, start),
    };
    let mut value = None;
    for digit in text[from..].iter().take_while(|byte| byte.is_ascii_digit()) {
        let before: usize = value.unwrap_or(0);
        value = Some(
            before
                .checked_mul(10)?
                .checked_add(usize::from(digit - b'0'))?,
        );
    }
    // Below zero there is no index.
    value.filter(|&value| !negative || value == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;

    #[test]
    fn indexes_are_read_leniently() {
        for (text, value) in [
            ("0", Some(0)),
            ("17", Some(17)),
            (" \t17", Some(17)),
            ("+3", Some(3)),
            ("-0", Some(0)),
            ("-1", None),
            ("010", Some(10)),
            ("0x10", Some(0)),
            ("12abc", Some(12)),
            ("", None),
            (" ", None),
            ("+", None),
            ("- 1", None),
            ("abc", None),
            ("18446744073709551615", Some(usize::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(parse(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn an_index_stands_for_one_arena_for_all_or_for_none() {
        alone(|| {
            // Other tests make arenas.
            check_indexes();
        });
    }

    fn check_indexes() {
        let count = manual::end();
        assert_eq!(Arenas::of(0), Arenas::One(0));
        assert_eq!(Arenas::of(count), Arenas::All);
        assert_eq!(Arenas::of(ARENAS_ALL), Arenas::All);
        assert_eq!(Arenas::of(ARENAS_DESTROYED), Arenas::Destroyed);
        assert!(Index::Arena.holds(count) && !Index::Arena.holds(count + 1));
        assert!(Index::Small.holds(35) && !Index::Small.holds(36));
        assert!(Index::Large.holds(195) && !Index::Large.holds(196));
        assert!(Index::PageClass.holds(198) && !Index::PageClass.holds(199));
        assert!(Index::RunClass.holds(63) && !Index::RunClass.holds(64));
        assert!(Index::Batch.holds(8) && !Index::Batch.holds(9) && !Index::SampledSmall.holds(0));
    }
}
