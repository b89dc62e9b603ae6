//! Spans: a number for each of some ranges of sizes.
//!
//! ```text
//! SIZE-SIZE:N|SIZE-SIZE:N|...
//! ```
//! X1  What stands before the first wrong part counts; the rest does not.
//! Source: jemalloc(3) `opt.bin_shards`, `opt.slab_sizes`.
#![deny(unsafe_code)]

use super::numbers;
use super::slot::Range;

/// One range and its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// Smallest and largest size, in bytes.
    pub(crate) sizes: [u64; 2],
    /// What is said of them.
    pub(crate) number: u64,
}

/// Bytes of `text` up to the first wrong part, and up to the `|` before it (X1).
#[cold]
#[inline(never)]
pub(super) fn good_part(text: &[u8], range: Range<u64>) -> usize {
    let mut good = 0;
    let mut at = 0;
    for part in text.split(|&byte| byte == b'|') {
        if read(part)
            .and_then(|span| range.admit(span.number))
            .is_none()
        {
            return good;
        }
        good = at + part.len();
        at = good + 1;
    }
    good
}

/// The good parts of `text`, one after the other (X1).
pub(crate) fn all(text: &[u8]) -> impl Iterator<Item = Span> {
    text.split(|&byte| byte == b'|').map_while(read)
}

/// Whether all of `text` is good, or nothing is there.
pub(crate) fn is_good(text: &[u8]) -> bool {
    text.is_empty()
        || text
            .split(|&byte| byte == b'|')
            .all(|part| read(part).is_some())
}

/// One part.
#[cold]
#[inline(never)]
fn read(part: &[u8]) -> Option<Span> {
    let colon = part.iter().position(|&byte| byte == b':')?;
    let (sizes, number) = (part.get(..colon)?, part.get(colon + 1..)?);
    // A sign may stand before the first number, so the dash is looked for behind it.
    let dash = 1 + sizes.get(1..)?.iter().position(|&byte| byte == b'-')?;
    Some(Span {
        sizes: [
            numbers::unsigned(sizes.get(..dash)?)?,
            numbers::unsigned(sizes.get(dash + 1..)?)?,
        ],
        number: numbers::unsigned(number)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::slot::within;
    use super::*;

    #[test]
    fn what_is_before_a_wrong_part_counts() {
        for (text, good) in [
            ("8-64:2", "8-64:2"),
            ("8-64:2|65-0x80:64", "8-64:2|65-0x80:64"),
            ("8-64:2|65-128:65", "8-64:2"),
            ("8-64:2|", "8-64:2"),
            ("8-64:0", ""),
            ("8:2", ""),
            ("8-64", ""),
            ("-:2", ""),
            ("", ""),
            ("|8-64:2", ""),
        ] {
            let len = good_part(text.as_bytes(), within(1, 64));
            assert_eq!(&text[..len], good, "X1 {text}");
        }
    }

    #[test]
    fn a_part_has_three_numbers() {
        let span = Span {
            sizes: [8, 64],
            number: 2,
        };
        assert_eq!(read(b"010-64:0x2"), Some(span));
        assert_eq!(
            read(b"8--64:2").map(|span| span.sizes[1]),
            Some(64u64.wrapping_neg())
        );
        assert_eq!(read(b"8-64:"), None);
    }
}
