//! Reading the stack: of whoever runs, and of whoever it was switched from.
//!
//! ```text
//!          home: pages found readable, side by side      one more page at a time
//! sp ──> |██████████████████████████████████████|- - - - ->            elsewhere: word by word, by the kernel
//! ```
//! A thread's stack cannot go away under it, but nobody tells where it ends, and what the tables or a frame pointer
//! say may be anything.
//!
//! K1  Home begins with the page of the stack pointer, which is in use, and grows upwards by pages that the kernel
//!     found readable. Words there are loaded.
//! K2  Every other word is copied by the kernel, which cannot fault; a switch of stacks makes the new one home.
//! K3  So many pages and words are asked for in one walk, and no more.

use crate::sys::image;

const PROBED: usize = 4096;
/// Pages that home may grow by at once: frames of up to a quarter of a megabyte.
const STRIDE_PAGES: usize = 64;
/// Questions to the kernel in one walk (K3).
const QUESTIONS: u32 = 1024;

/// The stack of one walk.
pub(super) struct Stack {
    low: usize,
    high: usize,
    questions: u32,
}

impl Stack {
    /// The stack that the caller runs on; `at` is its stack pointer.
    pub(super) fn of_caller(at: usize) -> Self {
        let low = page_of(at);
        Self {
            low,
            high: low + PROBED,
            questions: QUESTIONS,
        }
    }

    /// Makes the stack around `at` home (K2).
    #[cold]
    pub(super) fn switch_to(&mut self, at: usize) {
        (self.low, self.high) = (0, 0);
        let page = page_of(at);
        if self.ask() && image::is_readable(page) {
            (self.low, self.high) = (page, page.wrapping_add(PROBED));
        }
    }

    /// The word at `addr`. `None`: not readable, not a multiple of 8, or too much was asked for.
    #[inline]
    pub(super) fn word(&mut self, addr: usize) -> Option<usize> {
        if addr % size_of::<usize>() != 0 {
            return None;
        }
        if (self.low..self.high).contains(&addr) || self.grow_to(addr) {
            // SAFETY: in a page of home (K1), and a word does not cross pages.
            return Some(unsafe { image::load(addr) });
        }
        if self.ask() {
            return image::copy_word(addr);
        }
        None
    }

    /// Lets home grow up to the page of `addr`, if that is near and all between is readable.
    #[cold]
    fn grow_to(&mut self, addr: usize) -> bool {
        let page = page_of(addr);
        let distance = page.wrapping_sub(self.high);
        if self.high == 0 || distance >= STRIDE_PAGES * PROBED {
            return false;
        }
        while self.high <= page {
            if !self.ask() || !image::is_readable(self.high) {
                return false;
            }
            self.high += PROBED;
        }
        true
    }

    fn ask(&mut self) -> bool {
        let may = self.questions > 0;
        self.questions = self.questions.saturating_sub(1);
        may
    }
}

fn page_of(addr: usize) -> usize {
    addr & !(PROBED - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory;

    #[test]
    fn words_of_home_of_elsewhere_and_of_nowhere() {
        let page = memory::page_size();
        let block = memory::map(4 * page).unwrap();
        let at = block.as_ptr().expose_provenance();
        // SAFETY: pages of our own; the last is given back.
        unsafe {
            block.add(8).cast::<usize>().write(7);
            block.add(2 * page).cast::<usize>().write(9);
            assert!(memory::unmap(block.add(3 * page), page));
        }
        let local = [5usize; 2];
        let mut stack = Stack::of_caller(&raw const local as usize);
        assert_eq!(stack.word(&raw const local[1] as usize), Some(5));
        // Elsewhere.
        assert_eq!(stack.word(at + 8), Some(7));
        stack.switch_to(at);
        assert_eq!((stack.low, stack.high), (at, at + PROBED));
        assert_eq!(stack.word(at + 2 * page), Some(9));
        assert_eq!(stack.high, at + 2 * page + PROBED);
        assert_eq!(stack.word(at + 3 * page), None);
        assert_eq!(stack.word(at + 4), None);
        assert_eq!(stack.word(usize::MAX - 7), None);
        assert_eq!(stack.word(0), None);
        stack.switch_to(8);
        assert_eq!(stack.word(16), None);
    }

    #[test]
    fn questions_are_bounded() {
        let local = 0usize;
        let mut stack = Stack::of_caller(&raw const local as usize);
        let remote = memory::map(PROBED).unwrap().as_ptr().expose_provenance();
        let answered = (0..2 * QUESTIONS).filter(|_| stack.word(remote).is_some());
        assert!(answered.count() <= QUESTIONS as usize);
    }
}
