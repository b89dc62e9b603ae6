//! Name: one of mallctl's, put together in a fixed buffer.

const CAPACITY: usize = 96;

/// A name; what does not fit is cut off, which no name of the tree is.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Name {
    /// `text`, to begin with.
    pub(crate) fn of(text: &str) -> Self {
        Self {
            bytes: [0; CAPACITY],
            len: 0,
        }
        .then(text)
    }

    /// Goes on with `text`.
    pub(crate) fn then(mut self, text: &str) -> Self {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        self
    }

    /// Goes on with a number.
    pub(crate) fn index(self, number: usize) -> Self {
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 || at == 0 {
                break;
            }
        }
        let (_, text) = digits.split_at(at);
        self.then(core::str::from_utf8(text).unwrap_or(""))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        let (text, _) = self.bytes.split_at(self.len.min(CAPACITY));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together() {
        let name = Name::of("stats.arenas.")
            .index(4096)
            .then(".bins.")
            .index(0);
        assert_eq!(name.as_bytes(), b"stats.arenas.4096.bins.0");
        let longest = Name::of("").index(usize::MAX);
        assert_eq!(longest.as_bytes(), b"18446744073709551615");
    }
}
