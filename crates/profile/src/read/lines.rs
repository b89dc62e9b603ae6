//! Lines: numbered lines of a dump, and the words and numbers in them.

use super::Unreadable;

/// What to do about a file that ends too early.
pub(super) const CUT_OFF: &str = "The file is cut off: the disk was full, the process was killed while it wrote, or a copy is not complete. \
     Take the dump again.";
/// What to do about a line that is none of the form.
pub(super) const DAMAGED: &str = "The file is damaged or of another form; take the dump again.";

/// A line without its end, and which it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    /// Without blanks at either end.
    pub(super) text: &'a [u8],
    /// Whether its end is there: only the last line can lack it.
    pub(super) is_whole: bool,
}

impl Line<'_> {
    /// The error of this line.
    pub(super) fn wrong(&self, what: impl Into<String>) -> Unreadable {
        if self.is_whole {
            Unreadable::at(self.number, what, DAMAGED)
        } else {
            Unreadable::at(self.number, "the last line has no end", CUT_OFF)
        }
    }

    /// A line that is not whole cannot be trusted, whatever it says.
    pub(super) fn whole(self) -> Result<Self, Unreadable> {
        if self.is_whole {
            Ok(self)
        } else {
            Err(self.wrong(""))
        }
    }

    /// For messages: at most 40 characters of it.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(self.text);
        let clean = |each: char| if each.is_control() { '?' } else { each };
        let mut shown: String = text.chars().take(40).map(clean).collect();
        if text.chars().count() > 40 {
            shown.push_str("...");
        }
        format!("`{shown}`")
    }
}

/// All lines of `bytes`.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| Line {
            number: index + 1,
            text: line.trim_ascii(),
            is_whole: line.ends_with(b"\n"),
        })
}

/// The words of a line.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

/// A decimal number and nothing else.
pub(super) fn decimal(word: &[u8]) -> Option<u64> {
    // `parse` would let a sign through.
    if !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// A hexadecimal number, with or without `0x`.
pub(super) fn hexadecimal(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The four numbers of a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Live objects and bytes.
    pub(super) live: (u64, u64),
    /// Objects and bytes since the beginning.
    pub(super) cumulative: (u64, u64),
}

/// `C: B [AC: AB]` at the start of `text`, and what follows.
pub(super) fn counts(text: &[u8]) -> Option<(Counts, &[u8])> {
    let (objects, rest) = number_then(text, b":")?;
    let (bytes, rest) = number_then(rest, b"[")?;
    let (all_objects, rest) = number_then(rest, b":")?;
    let (all_bytes, rest) = number_then(rest, b"]")?;
    Some((
        Counts {
            live: (objects, bytes),
            cumulative: (all_objects, all_bytes),
        },
        rest,
    ))
}

/// A number, `mark` after optional blanks, and the rest.
fn number_then<'a>(text: &'a [u8], mark: &[u8]) -> Option<(u64, &'a [u8])> {
    let text = text.trim_ascii_start();
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let number = (length > 0).then(|| decimal(digits)).flatten()?;
    Some((number, rest.trim_ascii_start().strip_prefix(mark)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_strictly() {
        let (counts_read, rest) = counts(b"1: 22 [333: 4444] name").expect("well formed");
        assert_eq!(counts_read.live, (1, 22));
        assert_eq!(counts_read.cumulative, (333, 4444));
        assert_eq!(rest, b" name");
        for bad in [
            "",
            "1",
            "1: ",
            "1: 2",
            "1: 2 [",
            "1: 2 [3",
            "1: 2 [3: 4",
            "-1: 2 [3: 4]",
            "1; 2 [3: 4]",
            "99999999999999999999: 1 [0: 0]",
            "1: x [3: 4]",
        ] {
            assert!(counts(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_no_signs() {
        assert_eq!(decimal(b"12"), Some(12));
        assert_eq!(decimal(b"+12"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(hexadecimal(b"0xfF"), Some(255));
        assert_eq!(hexadecimal(b"ff"), Some(255));
        assert_eq!(hexadecimal(b"0x"), None);
        assert_eq!(hexadecimal(b"0x+1"), None);
    }
}
