//! Label: short text kept in place.
//!
//! A table of `&str` is a table of addresses: the loader writes each of them at the start of every process, and the
//! page they are on is no longer shared. A label holds its bytes itself and stays in the file.
#![deny(unsafe_code)]

/// Up to `N` bytes of text.
#[derive(Clone, Copy)]
pub(crate) struct Label<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Label<N> {
    /// `text`, which has to fit: for constants, so that a long one stops the build.
    pub(crate) const fn new(text: &str) -> Self {
        let from = text.as_bytes();
        assert!(from.len() <= N && N <= 255, "the text is too long");
        let mut bytes = [0; N];
        let mut at = 0;
        while at < from.len() {
            bytes[at] = from[at];
            at += 1;
        }
        Self {
            bytes,
            len: from.len() as u8,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&[])
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::Label;

    #[test]
    fn a_label_is_its_text() {
        const LABEL: Label<8> = Label::new("narenas");
        assert_eq!(LABEL.as_str(), "narenas");
        assert_eq!(Label::<0>::new("").as_bytes(), b"");
    }
}
