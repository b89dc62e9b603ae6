//! Words: the values that are names.
//!
//! A value is taken that is one of the words, or, where jemalloc completes words, the beginning of one; the first
//! that fits counts.
#![deny(unsafe_code)]

use crate::options::{
    BackgroundThread, Dss, Hardening, HugifyStyle, Junk, MetadataThp, PercpuArena, Preset,
    ProfTimeResolution, Thp, ZeroRealloc,
};

/// A choice among words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// The words in the order in which they are tried, with `|` between them: one text, not a table of addresses.
    const WORDS: &'static str;
    /// What they mean, in the same order.
    const MEANINGS: &'static [Self];
    /// Whether a beginning is enough.
    const COMPLETED: bool = false;

    /// The choice that `text` names.
    #[inline(always)]
    fn find(text: &[u8]) -> Option<Self> {
        let at = position(Self::WORDS, text, Self::COMPLETED)?;
        Self::MEANINGS.get(at).copied()
    }

    /// The word for this choice.
    #[inline(always)]
    fn name(self) -> &'static str {
        let at = Self::MEANINGS.iter().position(|&other| other == self);
        at.map_or("", |at| nth(Self::WORDS, at))
    }
}

/// Which of `words` is `text`, or begins with it if they are `completed`.
#[cold]
#[inline(never)]
fn position(words: &str, text: &[u8], completed: bool) -> Option<usize> {
    let fits = |word: &[u8]| word.starts_with(text) && (completed || word.len() == text.len());
    let mut words = words.as_bytes().split(|&byte| byte == b'|');
    words.position(fits)
}

#[cold]
#[inline(never)]
fn nth(words: &'static str, at: usize) -> &'static str {
    words.split('|').nth(at).unwrap_or("")
}

impl Word for BackgroundThread {
    const WORDS: &'static str = "true|false|auto";
    const MEANINGS: &'static [Self] = &[Self::Always, Self::Never, Self::Auto];
}

impl Word for Dss {
    const WORDS: &'static str = "disabled|primary|secondary";
    const MEANINGS: &'static [Self] = &[Self::Disabled, Self::Primary, Self::Secondary];
    const COMPLETED: bool = true;
}

impl Word for ZeroRealloc {
    const WORDS: &'static str = "alloc|free|abort";
    const MEANINGS: &'static [Self] = &[Self::Alloc, Self::Free, Self::Abort];
}

impl Word for Preset {
    const WORDS: &'static str = "server|desktop|container|low_memory|throughput|none";
    const MEANINGS: &'static [Self] = &[
        Self::Server,
        Self::Desktop,
        Self::Container,
        Self::LowMemory,
        Self::Throughput,
        Self::None,
    ];
}

impl Word for Thp {
    const WORDS: &'static str = "default|always|never";
    const MEANINGS: &'static [Self] = &[Self::Default, Self::Always, Self::Never];
    const COMPLETED: bool = true;
}

impl Word for MetadataThp {
    const WORDS: &'static str = "disabled|auto|always";
    const MEANINGS: &'static [Self] = &[Self::Disabled, Self::Auto, Self::Always];
    const COMPLETED: bool = true;
}

impl Word for HugifyStyle {
    const WORDS: &'static str = "auto|none|eager|lazy";
    const MEANINGS: &'static [Self] = &[Self::Auto, Self::None, Self::Eager, Self::Lazy];
    const COMPLETED: bool = true;
}

impl Word for Hardening {
    const WORDS: &'static str = "off|standard|strong|paranoid";
    const MEANINGS: &'static [Self] = &[Self::Off, Self::Standard, Self::Strong, Self::Paranoid];
}

impl Word for Junk {
    const WORDS: &'static str = "true|false|alloc|free";
    const MEANINGS: &'static [Self] = &[Self::Always, Self::Never, Self::Alloc, Self::Free];
}

impl Word for PercpuArena {
    const WORDS: &'static str = "percpu|phycpu|disabled";
    const MEANINGS: &'static [Self] = &[Self::Percpu, Self::Phycpu, Self::Disabled];
    const COMPLETED: bool = true;
}

impl Word for ProfTimeResolution {
    const WORDS: &'static str = "default|high";
    const MEANINGS: &'static [Self] = &[Self::Default, Self::High];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<W: Word + core::fmt::Debug>() {
        assert_eq!(W::WORDS.split('|').count(), W::MEANINGS.len());
        for (word, &meaning) in W::WORDS.split('|').zip(W::MEANINGS) {
            assert_eq!(W::find(word.as_bytes()), Some(meaning));
            assert_eq!(meaning.name(), word);
        }
        assert_eq!(W::find(b"nonsense"), None);
        assert_eq!(W::find(b"").is_some(), W::COMPLETED);
    }

    #[test]
    fn every_word_has_one_meaning() {
        round_trip::<BackgroundThread>();
        round_trip::<Dss>();
        round_trip::<ZeroRealloc>();
        round_trip::<Preset>();
        round_trip::<Thp>();
        round_trip::<MetadataThp>();
        round_trip::<HugifyStyle>();
        round_trip::<Junk>();
        round_trip::<Hardening>();
        round_trip::<PercpuArena>();
        round_trip::<ProfTimeResolution>();
    }

    #[test]
    fn the_first_word_that_fits_counts() {
        assert_eq!(Dss::find(b"p"), Some(Dss::Primary));
        assert_eq!(MetadataThp::find(b"a"), Some(MetadataThp::Auto));
        assert_eq!(Thp::find(b""), Some(Thp::Default));
        assert_eq!(ZeroRealloc::find(b"fre"), None);
    }
}
