//! Output: text on its way to the sink, in pieces.

use super::Sink;

/// Bytes of a piece, its zero byte among them.
pub(crate) const PIECE: usize = 4096;

/// A buffer in front of a sink.
pub(super) struct Output<'a, S> {
    sink: &'a mut S,
    bytes: [u8; PIECE],
    len: usize,
}

impl<'a, S: Sink> Output<'a, S> {
    pub(super) fn new(sink: &'a mut S) -> Self {
        Self {
            sink,
            bytes: [0; PIECE],
            len: 0,
        }
    }

    /// Hands over what is left.
    pub(super) fn end(&mut self) {
        if self.len > 0 {
            self.bytes[self.len % PIECE] = 0;
            let (piece, _) = self.bytes.split_at((self.len + 1).min(PIECE));
            self.sink.take(piece);
            self.len = 0;
        }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        if self.len == PIECE - 1 {
            self.end();
        }
        self.bytes[self.len % PIECE] = byte;
        self.len += 1;
    }

    pub(super) fn bytes(&mut self, text: &[u8]) {
        for &byte in text {
            self.byte(byte);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.bytes(Digits::of(number).as_bytes());
    }

    pub(super) fn signed(&mut self, number: i64) {
        if number < 0 {
            self.byte(b'-');
        }
        self.number(number.unsigned_abs());
    }

    /// A number of parts of 65536, as a decimal one.
    pub(super) fn fraction(&mut self, parts: u64) {
        self.number(parts >> 16);
        let mut rest = parts & 0xffff;
        if rest != 0 {
            self.byte(b'.');
        }
        while rest != 0 {
            rest *= 10;
            self.byte(b'0' + (rest >> 16) as u8);
            rest &= 0xffff;
        }
    }

    pub(super) fn spaces(&mut self, count: usize) {
        for _ in 0..count {
            self.byte(b' ');
        }
    }

    /// `text` at the right of `width` columns.
    pub(super) fn right(&mut self, width: usize, text: &[u8]) {
        self.spaces(width.saturating_sub(text.len()));
        self.bytes(text);
    }

    /// `text` at the left of `width` columns.
    pub(super) fn left(&mut self, width: usize, text: &[u8]) {
        self.bytes(text);
        self.spaces(width.saturating_sub(text.len()));
    }
}

/// A number in decimal.
pub(super) struct Digits {
    digits: [u8; 20],
    from: usize,
}

impl Digits {
    pub(super) fn of(mut number: u64) -> Self {
        let mut digits = [0; 20];
        let mut from = digits.len();
        loop {
            from -= 1;
            digits[from] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 || from == 0 {
                break;
            }
        }
        Self { digits, from }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        let (_, text) = self.digits.split_at(self.from);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[derive(Default)]
    struct Pieces(Vec<Vec<u8>>);

    impl Sink for Pieces {
        fn take(&mut self, piece: &[u8]) {
            self.0.push(piece.to_vec());
        }
    }

    fn printed(print: impl FnOnce(&mut Output<'_, Pieces>)) -> String {
        let mut pieces = Pieces::default();
        let mut out = Output::new(&mut pieces);
        print(&mut out);
        out.end();
        out.end();
        let mut all = Vec::new();
        for piece in pieces.0 {
            let (zero, text) = piece.split_last().unwrap();
            assert!(*zero == 0 && !text.contains(&0) && piece.len() <= PIECE);
            all.extend_from_slice(text);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn pieces_are_c_strings_and_nothing_is_lost_between_them() {
        let text = printed(|out| {
            for number in 0..5000 {
                out.number(number);
                out.byte(b' ');
            }
        });
        let expected: String = (0..5000).map(|number| std::format!("{number} ")).collect();
        assert_eq!(text, expected);
        assert_eq!(printed(|_| {}), "");
    }

    #[test]
    fn numbers_and_columns_read_as_format_writes_them() {
        let text = printed(|out| {
            out.signed(i64::MIN);
            out.byte(b'|');
            out.number(u64::MAX);
            out.byte(b'|');
            out.right(5, b"ab");
            out.left(5, b"cd");
            out.right(1, b"efg");
            out.byte(b'|');
            out.fraction(1 << 14);
            out.byte(b'|');
            out.fraction(3 << 16 | 1 << 15);
            out.byte(b'|');
            out.fraction(0);
        });
        let expected = std::format!("{}|{}|   abcd   efg|0.25|3.5|0", i64::MIN, u64::MAX);
        assert_eq!(text, expected);
    }
}
