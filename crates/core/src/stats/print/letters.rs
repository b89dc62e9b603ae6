//! Letters: what to print. `J` asks for JSON; each of the others leaves a part out.

use crate::options::StatsLetters;

/// A choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Letters(u32);

impl Letters {
    /// Everything, as text.
    pub(crate) const NONE: Self = Self(0);

    /// Those of `text`; unknown ones are ignored.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut letters = Self::NONE;
        for &letter in text {
            letters.0 |= Self::bit(letter);
        }
        letters
    }

    fn bit(letter: u8) -> u32 {
        let mut known = StatsLetters::KNOWN.iter();
        let place = known.position(|&known| known == letter);
        place.map_or(0, |place| 1 << place)
    }

    pub(crate) fn has(self, letter: u8) -> bool {
        self.0 & Self::bit(letter) != 0
    }

    /// Whether the part that `letter` stands for is left out.
    pub(crate) fn omit(self, letter: u8) -> bool {
        self.has(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_letters_are_ignored() {
        let letters = Letters::of(b"Jz%gg");
        assert!(letters.has(b'J') && letters.omit(b'g'));
        assert!(!letters.omit(b'a') && !letters.has(b'z'));
        assert_eq!(Letters::of(b"z"), Letters::NONE);
    }
}
