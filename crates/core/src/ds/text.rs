//! Line: text put together in a fixed buffer, for messages and paths.

const CAPACITY: usize = 1024;

/// Up to 1024 bytes of text; what does not fit is cut off.
pub(crate) struct Line {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; CAPACITY],
            len: 0,
        }
    }

    /// Appends raw bytes. Out of line: messages are many, and never in a hurry.
    #[cold]
    #[inline(never)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            if self.len < CAPACITY {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
        self
    }

    /// Appends text.
    #[inline(always)]
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends a number in decimal.
    pub(crate) fn decimal(&mut self, number: usize) -> &mut Self {
        self.digits(number, 10)
    }

    /// Appends a number in hexadecimal with `0x`.
    pub(crate) fn hex(&mut self, number: usize) -> &mut Self {
        self.text("0x").digits(number, 16)
    }

    #[cold]
    #[inline(never)]
    fn digits(&mut self, mut number: usize, base: usize) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        while at > 0 {
            at -= 1;
            digits[at] = b"0123456789abcdef"[number % base];
            number /= base;
            if number == 0 {
                break;
            }
        }
        let (_, tail) = digits.split_at(at);
        self.bytes(tail)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// All of it, where it is text.
    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_format_writes_them() {
        for number in [0, 7, 10, 4096, usize::MAX] {
            let mut line = Line::new();
            line.decimal(number).text(" ").hex(number);
            assert_eq!(
                line.as_bytes(),
                std::format!("{number} {number:#x}").as_bytes()
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut line = Line::new();
        for _ in 0..200 {
            line.text("0123456789");
        }
        assert_eq!(line.as_bytes().len(), CAPACITY);
    }
}
