//! Figures: the words of the channel, as what they mean.
//!
//! F1  Length, magic, layout and sum are checked before anything else is looked at. The sum fails while the process is in
//!     the middle of writing: the reader looks again.

use jemoxide::size::SMALL_CLASSES;
use jemoxide::stats::live::{
    ARENAS_SHOWN, Arena, Class, FIGURES_WORDS, Figures, LAYOUT, MAGIC, is_whole,
};

use crate::report::{Unreadable, Words, rss, snapshot};

/// Bytes of the figures.
pub(crate) const FIGURES_BYTES: usize = FIGURES_WORDS * WORD_BYTES;

const WORD_BYTES: usize = 8;

/// What became of a look at the bytes.
pub(crate) enum Look {
    /// They are whole.
    Whole(Box<Figures>),
    /// They are being written.
    Changing,
    /// They never will be.
    Wrong(Unreadable),
}

/// The figures in `bytes` (rule F1).
pub(crate) fn parse(bytes: &[u8]) -> Look {
    let words: Vec<u64> = bytes
        .chunks_exact(WORD_BYTES)
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()))
        .collect();
    match words.as_slice() {
        [] | [_] => return Look::Wrong(Unreadable::Truncated(bytes.len())),
        // A process that has just opened it has not written yet.
        [0, 0, ..] => return Look::Changing,
        [magic, ..] if *magic != MAGIC => return Look::Wrong(Unreadable::NotAReport),
        [_, layout, ..] if *layout != LAYOUT => {
            return Look::Wrong(Unreadable::OtherLayout(*layout));
        }
        _ => {}
    }
    let Some(words) = words.get(..FIGURES_WORDS) else {
        return Look::Wrong(Unreadable::Truncated(bytes.len()));
    };
    if !is_whole(words) {
        return Look::Changing;
    }
    match read(&mut Words::of(bytes)) {
        Ok(figures) => Look::Whole(Box::new(figures)),
        Err(why) => Look::Wrong(why),
    }
}

/// The order below is the order of the fields: a test goes through them.
fn read(words: &mut Words<'_>) -> Result<Figures, Unreadable> {
    Ok(Figures {
        magic: words.next()?,
        layout: words.next()?,
        sequence: words.next()?,
        pid: words.next()?,
        uptime_ns: words.next()?,
        answered: words.next()?,
        refused: words.next()?,
        profiling: words.next()?,
        lg_sample: words.next()?,
        resident: words.next()?,
        rss_at_ns: words.next()?,
        threads: words.next()?,
        heap_used: words.next()?,
        heap_limit_soft: words.next()?,
        heap_limit_hard: words.next()?,
        memory_limit: words.next()?,
        mapped: words.next()?,
        dirty_purges: three(words)?,
        muzzy_purges: three(words)?,
        purger_runs: words.next()?,
        arenas_automatic: words.next()?,
        arenas_by_request: words.next()?,
        by_request_bytes: words.next()?,
        peak: snapshot(words)?,
        now: snapshot(words)?,
        rss: rss(words)?,
        arenas: {
            let mut arenas = [Arena::ZERO; ARENAS_SHOWN];
            for place in &mut arenas {
                *place = arena(words)?;
            }
            arenas
        },
        classes: {
            let mut classes = [Class::ZERO; SMALL_CLASSES];
            for place in &mut classes {
                *place = class(words)?;
            }
            classes
        },
        check: words.next()?,
    })
}

fn three(words: &mut Words<'_>) -> Result<[u64; 3], Unreadable> {
    Ok([words.next()?, words.next()?, words.next()?])
}

fn arena(words: &mut Words<'_>) -> Result<Arena, Unreadable> {
    Ok(Arena {
        number: words.next()?,
        by_request: words.next()?,
        threads: words.next()?,
        small: words.next()?,
        large: words.next()?,
        slabs: words.next()?,
        allocations: words.next()?,
        frees: words.next()?,
    })
}

fn class(words: &mut Words<'_>) -> Result<Class, Unreadable> {
    Ok(Class {
        slabs: words.next()?,
        slab_bytes: words.next()?,
        free_bytes: words.next()?,
        cached: words.next()?,
        requests: words.next()?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jemoxide::stats::live::check;
    use std::mem::offset_of;

    /// Figures as bytes, each field a different number, the sum right.
    pub(crate) fn raw() -> Vec<u8> {
        let mut words: Vec<u64> = (0..FIGURES_WORDS as u64)
            .map(|index| 1000 + 2 * index)
            .collect();
        (words[0], words[1]) = (MAGIC, LAYOUT);
        sealed(words)
    }

    /// The same a moment later: another sequence number.
    pub(crate) fn moved() -> Vec<u8> {
        let mut words: Vec<u64> = raw()
            .chunks_exact(WORD_BYTES)
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight")))
            .collect();
        words[2] += 1;
        sealed(words)
    }

    fn sealed(mut words: Vec<u64>) -> Vec<u8> {
        let sum = check(&words[..FIGURES_WORDS - 1]);
        words[FIGURES_WORDS - 1] = sum;
        words.into_iter().flat_map(u64::to_ne_bytes).collect()
    }

    fn word_at(offset: usize) -> u64 {
        1000 + 2 * (offset / WORD_BYTES) as u64
    }

    #[test]
    fn every_field_is_read_from_its_place() {
        let Look::Whole(figures) = parse(&raw()) else {
            panic!("good");
        };
        macro_rules! at {
            ($($field:ident),*) => {$(
                assert_eq!(figures.$field, word_at(offset_of!(Figures, $field)), stringify!($field));
            )*};
        }
        at!(
            sequence, pid, uptime_ns, answered, refused, profiling, lg_sample, resident, rss_at_ns
        );
        at!(
            threads,
            heap_used,
            heap_limit_soft,
            heap_limit_hard,
            memory_limit,
            mapped
        );
        at!(
            purger_runs,
            arenas_automatic,
            arenas_by_request,
            by_request_bytes
        );
        assert_eq!(
            figures.dirty_purges[0],
            word_at(offset_of!(Figures, dirty_purges))
        );
        assert_eq!(
            figures.muzzy_purges[2],
            word_at(offset_of!(Figures, muzzy_purges)) + 4
        );
        assert_eq!(figures.peak.allocated, word_at(offset_of!(Figures, peak)));
        assert_eq!(figures.now.allocated, word_at(offset_of!(Figures, now)));
        assert_eq!(figures.rss.rss, word_at(offset_of!(Figures, rss)));
        let arena = offset_of!(Figures, arenas) + 3 * size_of::<Arena>();
        assert_eq!(figures.arenas[3].number, word_at(arena));
        assert_eq!(
            figures.arenas[3].frees,
            word_at(arena + offset_of!(Arena, frees))
        );
        let class = offset_of!(Figures, classes) + (SMALL_CLASSES - 1) * size_of::<Class>();
        let last = &figures.classes[SMALL_CLASSES - 1];
        assert_eq!(last.slabs, word_at(class));
        assert_eq!(last.requests, word_at(class + offset_of!(Class, requests)));
    }

    #[test]
    fn what_is_not_whole_is_looked_at_again_and_what_is_wrong_is_told() {
        let whole = raw();
        for byte in (16..whole.len()).step_by(101) {
            let mut torn = whole.clone();
            torn[byte] ^= 1;
            assert!(matches!(parse(&torn), Look::Changing), "byte {byte}");
        }
        assert!(matches!(parse(&vec![0; whole.len()]), Look::Changing));
        let cut = &whole[..whole.len() - 1];
        assert!(matches!(parse(cut), Look::Wrong(Unreadable::Truncated(_))));
        assert!(matches!(parse(&[]), Look::Wrong(Unreadable::Truncated(0))));
        let mut other = whole.clone();
        other[0] ^= 1;
        assert!(matches!(parse(&other), Look::Wrong(Unreadable::NotAReport)));
        let mut newer = whole;
        newer[8] = 77;
        assert!(matches!(
            parse(&newer),
            Look::Wrong(Unreadable::OtherLayout(77))
        ));
    }
}
