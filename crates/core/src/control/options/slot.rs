//! Slot: the place of one option, and how its value reads as text.
//!
//! T1  What cannot be read, or is out of a range that is not cut to, leaves the place as it was.
//! T2  What `show` writes, `read` takes, with the same result.
#![deny(unsafe_code)]

use super::numbers;
use super::spans;
use super::words::Word;
use crate::arena::ARENAS_MAX;
use crate::ds::text::Line;
use crate::options::{
    BackgroundThread, Dss, Fixed, Hardening, HugifyStyle, Junk, MetadataThp, PATH_MAX, PercpuArena,
    Preset, ProfTimeResolution, StatsLetters, Thp, ZeroRealloc,
};

/// Bytes of a huge page.
const HUGE: i64 = 2 << 20;

/// The numbers that an option takes.
#[derive(Clone, Copy)]
pub(crate) struct Range<N> {
    least: N,
    most: N,
    /// Whether numbers outside are cut to it; otherwise they are refused.
    cut: bool,
}

/// Numbers from `least` to `most`; others are refused.
pub(crate) const fn within<N: Copy>(least: N, most: N) -> Range<N> {
    Range {
        least,
        most,
        cut: false,
    }
}

/// Numbers that are cut to `least` to `most`.
pub(crate) const fn cut_to(least: u64, most: u64) -> Range<u64> {
    Range {
        least,
        most,
        cut: true,
    }
}

/// -1, or numbers that are cut to `least` to `most`.
pub(crate) const fn signed_cut_to(least: i64, most: i64) -> Range<i64> {
    Range {
        least,
        most,
        cut: true,
    }
}

/// Any number.
const ANY: Range<u64> = within(0, u64::MAX);

impl<N: Ord + Copy> Range<N> {
    pub(super) fn admit(self, number: N) -> Option<N> {
        match self.cut {
            true => Some(number.max(self.least).min(self.most)),
            false => (self.least..=self.most).contains(&number).then_some(number),
        }
    }
}

/// The place of an option, by the kind of its value.
pub(crate) enum Slot<'a> {
    Switch(&'a mut bool),
    Number(&'a mut usize, Range<u64>),
    Percent(&'a mut usize, Range<u64>),
    Bytes(&'a mut usize, Range<u64>),
    /// Bytes, written as a power of two: the largest that is not more.
    LgBytes(&'a mut usize, Range<u64>),
    /// Milliseconds; -1 is never.
    Decay(&'a mut isize, Range<i64>),
    /// -1 is any number.
    Count(&'a mut isize, Range<i64>),
    /// 0 is `default`.
    Arenas(&'a mut usize),
    Fraction(&'a mut Fixed),
    /// Bytes, written as their share of a huge page.
    Ratio(&'a mut usize),
    Path(&'a mut &'static [u8]),
    /// Any text, cut to a length.
    Text(&'a mut &'static [u8]),
    /// The same; where nothing is said it is `jeprof`, and one that is empty is another thing.
    Prefix(&'a mut Option<&'static [u8]>),
    /// Numbers for sizes, `SIZE-SIZE:N|...`; what is before a wrong part counts.
    Spans(&'a mut &'static [u8], Range<u64>),
    /// The same, or `default`; any number of pages.
    SlabSizes(&'a mut &'static [u8]),
    Junk(&'a mut Junk),
    Hardening(&'a mut Hardening),
    PercpuArena(&'a mut PercpuArena),
    ProfTimeResolution(&'a mut ProfTimeResolution),
    /// Added to what is there.
    Letters(&'a mut StatsLetters),
    Preset(&'a mut Preset),
    Background(&'a mut BackgroundThread),
    Dss(&'a mut Dss),
    ZeroRealloc(&'a mut ZeroRealloc),
    Thp(&'a mut Thp),
    MetadataThp(&'a mut MetadataThp),
    HugifyStyle(&'a mut HugifyStyle),
}

impl Slot<'_> {
    /// Sets the place to what `text` says. `None`: nothing that it takes (T1).
    #[cold]
    #[inline(never)]
    pub(super) fn read(self, text: &'static [u8]) -> Option<()> {
        match self {
            Slot::Switch(place) => {
                *place = match text {
                    b"true" => true,
                    b"false" => false,
                    _ => return None,
                }
            }
            Slot::Number(place, range) | Slot::Percent(place, range) => {
                *place = range.admit(numbers::unsigned(text)?)? as usize;
            }
            Slot::Bytes(place, range) => {
                *place = range.admit(numbers::bytes(text)?)? as usize;
            }
            Slot::LgBytes(place, range) => {
                *place = 1 << range.admit(numbers::unsigned(text)?)?;
            }
            Slot::Decay(place, range) | Slot::Count(place, range) => {
                let number = numbers::signed(text)?;
                *place = match (range.cut, number) {
                    // What is cut has "none" beside its range.
                    (true, -1) => -1,
                    (true, ..-1) => return None,
                    _ => range.admit(number)? as isize,
                };
            }
            Slot::Arenas(place) => {
                *place = match text {
                    b"default" => 0,
                    _ => {
                        let count = numbers::unsigned(text).filter(|&count| count >= 1)?;
                        count.min(ARENAS_MAX as u64) as usize
                    }
                }
            }
            Slot::Fraction(place) => *place = numbers::fraction(text)?,
            Slot::Ratio(place) => {
                let Fixed(share) = numbers::fraction(text)?;
                let share = (0..=Fixed::ONE).contains(&share).then_some(share)?;
                let bytes = share * HUGE / Fixed::ONE;
                *place = bytes.clamp(4096, HUGE) as usize;
            }
            Slot::Path(place) => {
                let fits = !text.is_empty() && text.len() <= PATH_MAX;
                *place = fits.then_some(text)?;
            }
            Slot::Text(place) => *place = text.get(..PATH_MAX).unwrap_or(text),
            Slot::Prefix(place) => *place = Some(text.get(..PATH_MAX).unwrap_or(text)),
            Slot::Spans(place, range) => {
                let good = spans::good_part(text, range);
                if good > 0 {
                    *place = text.get(..good)?;
                }
                (good == text.len() && good > 0 && good <= PATH_MAX).then_some(())?;
            }
            Slot::SlabSizes(place) => {
                if text == b"default" {
                    *place = &[];
                    return Some(());
                }
                let good = spans::good_part(text, ANY);
                if good > 0 {
                    *place = text.get(..good)?;
                }
                (good == text.len() && good > 0 && good <= PATH_MAX).then_some(())?;
            }
            Slot::Junk(place) => *place = Word::find(text)?,
            Slot::Hardening(place) => *place = Word::find(text)?,
            Slot::PercpuArena(place) => *place = Word::find(text)?,
            Slot::ProfTimeResolution(place) => *place = Word::find(text)?,
            Slot::Letters(place) => place.add(text),
            Slot::Preset(place) => *place = Word::find(text)?,
            Slot::Background(place) => *place = Word::find(text)?,
            Slot::Dss(place) => *place = Word::find(text)?,
            Slot::ZeroRealloc(place) => *place = Word::find(text)?,
            Slot::Thp(place) => *place = Word::find(text)?,
            Slot::MetadataThp(place) => *place = Word::find(text)?,
            Slot::HugifyStyle(place) => *place = Word::find(text)?,
        }
        Some(())
    }

    /// Writes the value as an option has it (T2).
    #[cold]
    #[inline(never)]
    pub(super) fn show(self, line: &mut Line) {
        match self {
            Slot::Switch(place) => line.text(if *place { "true" } else { "false" }),
            Slot::Number(place, _) | Slot::Percent(place, _) => line.decimal(*place),
            Slot::Bytes(place, _) => show_bytes(*place, line),
            Slot::LgBytes(place, _) => line.decimal((*place).max(1).ilog2() as usize),
            Slot::Decay(place, _) | Slot::Count(place, _) => signed(*place as i64, line),
            Slot::Arenas(place) => match *place {
                0 => line.text("default"),
                count => line.decimal(count),
            },
            Slot::Fraction(place) => show_fraction(*place, line),
            Slot::Ratio(place) => {
                // Upwards: reading cuts.
                let share = (*place as i64 * Fixed::ONE + HUGE - 1) / HUGE;
                show_fraction(Fixed(share), line)
            }
            Slot::SlabSizes(&mut []) => line.text("default"),
            Slot::Path(place)
            | Slot::Text(place)
            | Slot::Spans(place, _)
            | Slot::SlabSizes(place) => line.bytes(place),
            Slot::Prefix(place) => line.bytes(place.unwrap_or(b"jeprof")),
            Slot::Junk(place) => line.text(place.name()),
            Slot::Hardening(place) => line.text(place.name()),
            Slot::PercpuArena(place) => line.text(place.name()),
            Slot::ProfTimeResolution(place) => line.text(place.name()),
            Slot::Letters(place) => line.bytes(place.as_bytes()),
            Slot::Preset(place) => line.text(place.name()),
            Slot::Background(place) => line.text(place.name()),
            Slot::Dss(place) => line.text(place.name()),
            Slot::ZeroRealloc(place) => line.text(place.name()),
            Slot::Thp(place) => line.text(place.name()),
            Slot::MetadataThp(place) => line.text(place.name()),
            Slot::HugifyStyle(place) => line.text(place.name()),
        };
    }

    /// Writes what the option takes.
    #[cold]
    #[inline(never)]
    pub(super) fn wants(self, line: &mut Line) {
        match self {
            Slot::Switch(_) => line.text("true or false"),
            Slot::Number(_, range) | Slot::LgBytes(_, range) => span("a number", range, line),
            Slot::Percent(_, range) => span("a percentage", range, line),
            Slot::Bytes(_, range) => span("bytes", range, line).text("; K, M, G or T may follow"),
            Slot::Decay(_, range) => signed_span("milliseconds", range, "never", line),
            Slot::Count(_, range) => signed_span("a number", range, "any", line),
            Slot::Arenas(_) => line
                .text("default, or a number from 1 to ")
                .decimal(ARENAS_MAX),
            Slot::Fraction(_) => line.text("a number from 0 to 65535, like 0.25, or -1 (never)"),
            Slot::Ratio(_) => line.text("a number from 0 to 1, like 0.95"),
            Slot::Path(_) => line
                .text("a path of at most ")
                .decimal(PATH_MAX)
                .text(" bytes"),
            Slot::Text(_) | Slot::Prefix(_) => line.text("text"),
            Slot::Spans(_, range) => {
                line.text("SIZE-SIZE:N, more of them after a |, with N as ");
                span("a number", range, line)
            }
            Slot::SlabSizes(_) => line.text("default, or SIZE-SIZE:PAGES, more of them after a |"),
            Slot::Junk(_) => one_of(Junk::WORDS, line),
            Slot::Hardening(_) => one_of(Hardening::WORDS, line),
            Slot::PercpuArena(_) => one_of(PercpuArena::WORDS, line),
            Slot::ProfTimeResolution(_) => one_of(ProfTimeResolution::WORDS, line),
            Slot::Letters(_) => line.text("letters of ").bytes(StatsLetters::KNOWN),
            Slot::Preset(_) => one_of(Preset::WORDS, line),
            Slot::Background(_) => one_of(BackgroundThread::WORDS, line),
            Slot::Dss(_) => one_of(Dss::WORDS, line),
            Slot::ZeroRealloc(_) => one_of(ZeroRealloc::WORDS, line),
            Slot::Thp(_) => one_of(Thp::WORDS, line),
            Slot::MetadataThp(_) => one_of(MetadataThp::WORDS, line),
            Slot::HugifyStyle(_) => one_of(HugifyStyle::WORDS, line),
        };
    }
}

#[cold]
#[inline(never)]
fn signed(number: i64, line: &mut Line) -> &mut Line {
    if number < 0 {
        line.text("-");
    }
    line.decimal(number.unsigned_abs() as usize)
}

/// `bytes` with the largest suffix that divides it.
#[cold]
#[inline(never)]
fn show_bytes(bytes: usize, line: &mut Line) -> &mut Line {
    let fits = |&(shift, _): &(u32, &str)| bytes != 0 && bytes.trailing_zeros() >= shift;
    let suffixes = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let (shift, suffix) = suffixes.into_iter().find(fits).unwrap_or((0, ""));
    line.decimal(bytes >> shift).text(suffix)
}

/// Five places, the last rounded up: reading cuts to 16 binary ones, which are coarser.
#[cold]
#[inline(never)]
fn show_fraction(Fixed(number): Fixed, line: &mut Line) -> &mut Line {
    if number < 0 {
        return line.text("-1");
    }
    let (whole, part) = (number >> 16, number & (Fixed::ONE - 1));
    let mut places = ((part * 100_000 + Fixed::ONE - 1) >> 16) as usize;
    line.decimal(whole as usize);
    if places == 0 {
        return line;
    }
    line.text(".");
    let mut unit = 10_000;
    while places > 0 {
        line.decimal(places / unit);
        places %= unit;
        unit /= 10;
    }
    line
}

/// `what from LEAST to MOST`.
#[cold]
#[inline(never)]
fn span<'a>(what: &str, range: Range<u64>, line: &'a mut Line) -> &'a mut Line {
    line.text(what);
    if range.most == u64::MAX {
        return line;
    }
    line.text(" from ").decimal(range.least as usize);
    line.text(" to ").decimal(range.most as usize)
}

/// `what from -1 (WHAT THAT MEANS) to MOST`.
#[cold]
#[inline(never)]
fn signed_span<'a>(what: &str, range: Range<i64>, least: &str, line: &'a mut Line) -> &'a mut Line {
    signed(range.least, line.text(what).text(" from "));
    signed(range.most, line.text(" (").text(least).text(") to "))
}

/// `a, b or c`.
#[cold]
#[inline(never)]
fn one_of<'a>(words: &str, line: &'a mut Line) -> &'a mut Line {
    let last = words.split('|').count().saturating_sub(1);
    for (at, word) in words.split('|').enumerate() {
        let between = match at {
            0 => "",
            _ if at == last => " or ",
            _ => ", ",
        };
        line.text(between).text(word);
    }
    line
}
