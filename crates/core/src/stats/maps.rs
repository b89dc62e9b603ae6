//! Maps: the system's list of a process's mappings (`/proc/<pid>/smaps`), read piece by piece, without memory.
//!
//! ```text
//! 7f12000000-7f12400000 rw-p 00000000 00:00 0   [name]        where, how, of which file
//! Rss:                 132 kB                                 what of it has memory
//! Swap:                  0 kB
//! ```
//! Thread stacks have no name. They are told by what lies right below them: a mapping that nobody may touch, their
//! guard. Likewise the cleared data of a program or library is the mapping without a name right behind its file.
#![deny(unsafe_code)]

/// Bytes of a line that are looked at; what follows are ends of long file names.
const LINE: usize = 160;

/// What is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// A file, or what the kernel maps into every process.
    File,
    /// Memory right behind a file: its cleared data.
    BehindFile,
    /// The stack of the first thread.
    FirstStack,
    /// Memory right above a guard: the stack of a thread.
    Guarded,
    /// Other memory.
    Anonymous,
}

/// One mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// What is mapped.
    pub content: Content,
    /// Bytes that have memory.
    pub rss: u64,
    /// Bytes that were swapped out.
    pub swap: u64,
}

/// What the mapping before was, for the one that follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Other,
    File,
    Guard,
}

/// A reader of such a list.
#[derive(Debug)]
pub struct Maps {
    line: [u8; LINE],
    len: usize,
    current: Option<Mapping>,
    before: Before,
    before_end: usize,
}

impl core::fmt::Debug for Before {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Self::Other => "Other",
            Self::File => "File",
            Self::Guard => "Guard",
        })
    }
}

impl Maps {
    /// A reader at the begin of a list.
    pub const fn new() -> Self {
        Self {
            line: [0; LINE],
            len: 0,
            current: None,
            before: Before::Other,
            before_end: 0,
        }
    }

    /// Reads on in `text`, which may begin and end anywhere; `each` gets every mapping that is complete.
    pub fn feed(&mut self, text: &[u8], each: &mut dyn FnMut(&Mapping)) {
        for &byte in text {
            if byte == b'\n' {
                self.end_line(each);
                self.len = 0;
            } else if let Some(place) = self.line.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    /// Ends the list.
    pub fn finish(mut self, each: &mut dyn FnMut(&Mapping)) {
        self.end_mapping(each);
    }

    fn end_line(&mut self, each: &mut dyn FnMut(&Mapping)) {
        let line = self.line;
        let line = line.get(..self.len).unwrap_or_default();
        if let Some(bytes) = field(line, b"Rss:") {
            if let Some(mapping) = &mut self.current {
                mapping.rss = bytes;
            }
        } else if let Some(bytes) = field(line, b"Swap:") {
            if let Some(mapping) = &mut self.current {
                mapping.swap = bytes;
            }
        } else if line
            .first()
            .is_some_and(|first| !first.is_ascii_uppercase())
        {
            self.end_mapping(each);
            self.begin_mapping(line);
        }
    }

    fn end_mapping(&mut self, each: &mut dyn FnMut(&Mapping)) {
        if let Some(mapping) = self.current.take() {
            each(&mapping);
        }
    }

    fn begin_mapping(&mut self, line: &[u8]) {
        let mut words = line
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty());
        let range = words.next().unwrap_or_default();
        let mut ends = range.splitn(2, |&byte| byte == b'-');
        let start = ends.next().and_then(hexadecimal);
        let end = ends.next().and_then(hexadecimal);
        // A range that ends before it begins is none: whoever asks for its length would get nonsense.
        let range = start.zip(end).filter(|(start, end)| start <= end);
        let Some((start, end)) = range else {
            self.before = Before::Other;
            return;
        };
        let access = words.next().unwrap_or_default();
        // Offset and device.
        let inode = words.nth(2).unwrap_or_default();
        let name = words.next().unwrap_or_default();
        let is_file = inode != b"0" || name.starts_with(b"/") || name.starts_with(b"[v");
        let follows = self.before_end == start;
        let content = if is_file {
            Content::File
        } else if name == b"[stack]" {
            Content::FirstStack
        } else if name.is_empty() && follows && self.before == Before::File {
            Content::BehindFile
        } else if name.is_empty() && follows && self.before == Before::Guard {
            Content::Guarded
        } else {
            Content::Anonymous
        };
        self.before = if is_file {
            Before::File
        } else if access.starts_with(b"---") {
            Before::Guard
        } else {
            Before::Other
        };
        self.before_end = end;
        self.current = Some(Mapping {
            start,
            end,
            content,
            rss: 0,
            swap: 0,
        });
    }
}

impl Default for Maps {
    fn default() -> Self {
        Self::new()
    }
}

fn hexadecimal(text: &[u8]) -> Option<usize> {
    let digit = |&byte: &u8| (byte as char).to_digit(16);
    let number = text.iter().try_fold(0usize, |number, byte| {
        Some(number.checked_mul(16)? + digit(byte)? as usize)
    });
    number.filter(|_| !text.is_empty())
}

/// Bytes that a line says about `name`, if it is its line: kilobytes in decimal.
pub(crate) fn field(line: &[u8], name: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(name)?;
    let mut digits = rest.iter().filter(|byte| byte.is_ascii_digit());
    digits
        .try_fold(0u64, |number, byte| {
            number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
        })
        .and_then(|kilobytes| kilobytes.checked_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const LIST: &str = "\
55d0c000-55d0d000 rw-p 00003000 fe:00 1234   /usr/bin/a program with blanks
Size:                  4 kB
Rss:                   4 kB
Pss_Anon:             99 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me ac
55d0d000-55d0f000 rw-p 00000000 00:00 0
Rss:                   8 kB
55d0f000-55e00000 rw-p 00000000 00:00 0      [heap]
Rss:                  12 kB
Swap:                 20 kB
7f000000-7f001000 ---p 00000000 00:00 0
Rss:                   0 kB
7f001000-7f801000 rw-p 00000000 00:00 0
Rss:                  16 kB
7f801000-7f901000 rw-p 00000000 00:00 0      [anon:thing]
Rss:                1024 kB
7f901000-7f902000 rw-s 00000000 00:01 77     /memfd:x (deleted)
Rss:                   4 kB
7ffd0000-7ffd2000 rw-p 00000000 00:00 0      [stack]
Rss:                   8 kB
7ffd4000-7ffd5000 r-xp 00000000 00:00 0      [vdso]
Rss:                   4 kB
";

    fn read(pieces: usize) -> Vec<Mapping> {
        let mut maps = Maps::new();
        let mut found = Vec::new();
        for piece in LIST.as_bytes().chunks(pieces) {
            maps.feed(piece, &mut |mapping| found.push(*mapping));
        }
        maps.finish(&mut |mapping| found.push(*mapping));
        found
    }

    #[test]
    fn mappings_are_told_apart() {
        use Content::{Anonymous, BehindFile, File, FirstStack, Guarded};
        let found = read(usize::MAX);
        let contents: Vec<_> = found.iter().map(|mapping| mapping.content).collect();
        assert_eq!(
            contents,
            [
                File, BehindFile, Anonymous, Anonymous, Guarded, Anonymous, File, FirstStack, File
            ]
        );
        let sizes: Vec<_> = found.iter().map(|mapping| mapping.rss / 1024).collect();
        assert_eq!(sizes, [4, 8, 12, 0, 16, 1024, 4, 8, 4]);
        assert_eq!(found[2].swap, 20 * 1024);
        assert_eq!((found[4].start, found[4].end), (0x7f00_1000, 0x7f80_1000));
    }

    #[test]
    fn the_list_may_come_in_pieces() {
        let whole = read(usize::MAX);
        for pieces in [1, 2, 3, 7, 64, 161] {
            assert_eq!(read(pieces), whole);
        }
    }

    #[test]
    fn what_is_no_such_list_gives_nothing() {
        for text in [
            "",
            "\n\n",
            "Rss: 5 kB\n",
            "x-y z\n",
            "-\n",
            "99999999999999999999-1 r\n",
        ] {
            let mut maps = Maps::new();
            maps.feed(text.as_bytes(), &mut |mapping| {
                panic!("{mapping:?} in {text:?}")
            });
            maps.finish(&mut |mapping| panic!("{mapping:?} in {text:?}"));
        }
    }
}
