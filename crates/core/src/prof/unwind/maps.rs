//! Finding a module in the kernel's list of mappings, where the loader cannot be asked: static programs, musl, glibc
//! before 2.35.
//!
//! ```text
//! 7f0a41200000-7f0a41226000 r--p 00000000 fe:00 1057  /usr/lib/libc.so.6      <- a module begins: offset 0
//! 7f0a41226000-7f0a4137b000 r-xp 00026000 fe:00 1057  /usr/lib/libc.so.6      <- the same file: has the pc
//! 7fff1d5fe000-7fff1d600000 r-xp 00000000 00:00 0     [vdso]                  <- no file, begins where the vdso is known to
//! ```
//! The list is read piece by piece through a small buffer. An address in no module (code made at run time) would have it
//! read for every stack: its page is remembered for a while.

use crate::sys::image;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the list that are read at most.
const LONGEST: usize = 4 << 20;
const PIECE: usize = 512;

/// Pages of addresses in no module, and how often that is believed yet: in the low bits.
static STRANGERS: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
const BELIEVED: usize = 255;
const LG_PAGE: u32 = 12;

/// The first byte of the module that has `pc`.
pub(super) fn find(pc: usize) -> Option<usize> {
    let page = pc >> LG_PAGE;
    let stranger = STRANGERS.get(page % STRANGERS.len())?;
    // Relaxed: a hint, whole in one word.
    let seen = stranger.load(Ordering::Relaxed);
    if seen >> 8 == page && seen & BELIEVED != 0 {
        stranger.store(seen - 1, Ordering::Relaxed);
        return None;
    }
    let found = read(pc);
    if found.is_none() {
        stranger.store(page << 8 | BELIEVED, Ordering::Relaxed);
    }
    found
}

fn read(pc: usize) -> Option<usize> {
    let vdso = image::landmarks().vdso;
    let mut file = image::maps()?;
    let mut search = Search::new(pc, vdso);
    let mut piece = [0; PIECE];
    let mut left = LONGEST;
    while left > 0 {
        let len = file.read(&mut piece)?;
        if len == 0 {
            return None;
        }
        for &byte in piece.get(..len)? {
            if let Some(answer) = search.take(byte) {
                return answer;
            }
        }
        left = left.saturating_sub(len);
    }
    None
}

/// The fields of a line that matter.
const START: usize = 0;
const END: usize = 1;
const OFFSET: usize = 3;
const DEVICE: usize = 4;
const INODE: usize = 5;
const FIELDS: usize = 6;

/// The line being read, and the module that the last line with a file belongs to.
struct Search {
    pc: usize,
    vdso: usize,
    line: [usize; FIELDS],
    field: usize,
    module: usize,
    file: (usize, usize),
    module_end: usize,
}

impl Search {
    fn new(pc: usize, vdso: usize) -> Self {
        Self {
            pc,
            vdso,
            line: [0; FIELDS],
            field: 0,
            module: 0,
            file: (0, 0),
            module_end: 0,
        }
    }

    /// Takes the next byte of the list in; the answer, once there is one.
    fn take(&mut self, byte: u8) -> Option<Option<usize>> {
        let value = self.line.get_mut(self.field);
        match byte {
            b'\n' => {
                let answer = self.end_line();
                (self.line, self.field) = ([0; FIELDS], 0);
                return answer;
            }
            b'-' if self.field == START => self.field = END,
            b' ' if self.field < FIELDS => self.field += 1,
            b':' => {}
            _ => {
                let base = if self.field == INODE { 10 } else { 16 };
                let digit = char::from(byte).to_digit(base);
                if let (Some(value), Some(digit)) = (value, digit) {
                    *value = value
                        .wrapping_mul(base as usize)
                        .wrapping_add(digit as usize);
                }
            }
        }
        None
    }

    fn end_line(&mut self) -> Option<Option<usize>> {
        let line = self.line;
        let file = (line[DEVICE], line[INODE]);
        let is_other = file != self.file || line[START] != self.module_end;
        if line[INODE] != 0 {
            // Offset 0 begins a module, but for a small file's that is mapped there twice, side by side.
            if line[OFFSET] == 0 && is_other {
                (self.module, self.file) = (line[START], file);
            } else if file != self.file {
                (self.module, self.file) = (0, file);
            }
            self.module_end = line[END];
        }
        if !(line[START]..line[END]).contains(&self.pc) {
            return (line[START] > self.pc).then_some(None);
        }
        let base = match line[INODE] {
            0 if line[START] == self.vdso => self.vdso,
            0 => 0,
            _ => self.module,
        };
        Some((base != 0).then_some(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
55d0c0a00000-55d0c0a02000 r--p 00000000 fe:00 77 /opt/a program (deleted)
55d0c0a02000-55d0c0a08000 r-xp 00002000 fe:00 77 /opt/a program (deleted)
55d0c0b00000-55d0c0b21000 rw-p 00000000 00:00 0 [heap]
7f0a41000000-7f0a41001000 r-xp 00000000 00:00 0 
7f0a41200000-7f0a41201000 r--p 00000000 fe:00 1057 /lib/small.so
7f0a41201000-7f0a41202000 r-xp 00000000 fe:00 1057 /lib/small.so
7f0a41300000-7f0a41301000 r--p 00000000 fe:00 1057 /lib/small.so
7f0a41301000-7f0a41302000 r-xp 00000000 fe:00 1057 /lib/small.so
7f0a41400000-7f0a41401000 r-xp 00003000 fe:00 99 /dev/shm/code made at run time
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]
";

    fn search(pc: usize) -> Option<usize> {
        let mut search = Search::new(pc, 0x7ffd_0000_0000);
        LIST.bytes().find_map(|byte| search.take(byte)).flatten()
    }

    #[test]
    fn the_module_around_an_address_is_found() {
        assert_eq!(search(0x55d0_c0a0_3000), Some(0x55d0_c0a0_0000));
        assert_eq!(search(0x55d0_c0b0_3000), None);
        assert_eq!(search(0x7f0a_4100_0800), None);
        assert_eq!(search(0x7f0a_4120_1234), Some(0x7f0a_4120_0000));
        assert_eq!(search(0x7f0a_4130_1234), Some(0x7f0a_4130_0000));
        assert_eq!(search(0x7f0a_4140_0000), None);
        assert_eq!(search(0x7ffd_0000_1000), Some(0x7ffd_0000_0000));
        assert_eq!(search(0x1000), None);
        assert_eq!(search(usize::MAX), None);
    }

    #[test]
    fn our_own_code_is_in_a_module_and_a_strange_page_is_remembered() {
        let own = search as fn(usize) -> Option<usize> as usize;
        let base = find(own).unwrap();
        assert!(base < own && image::copy_word(base).is_some());
        let local = 0u8;
        let strange = &raw const local as usize;
        assert_eq!(find(strange), None);
        let place = (strange >> LG_PAGE) % STRANGERS.len();
        let noted = STRANGERS[place].load(Ordering::Relaxed);
        assert_eq!(noted, strange >> LG_PAGE << 8 | BELIEVED);
        assert_eq!(find(strange), None);
        assert_eq!(STRANGERS[place].load(Ordering::Relaxed), noted - 1);
    }
}
