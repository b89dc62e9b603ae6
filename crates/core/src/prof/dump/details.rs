//! Details: what `heap_v2` has no place for, behind everything else. Readers of that format stop before it.
//!
//! ```text
//! JEMOXIDE_DETAILS/1
//! time <ns since the start> <unix seconds>
//! peak <bytes> <ns>
//! thread <uid> <name>                                            one a thread
//! class <usable> <objects> <slabs> <bytes of them> <bytes free>  one a small class in use
//! @ <frames>                                                     one block a stack
//!   p <count*8> <bytes>                        alive at the peak, estimated
//!   c <count*8> <bytes>                        ever
//!   l <log2 of the lifetime> <count*8> <bytes> died so
//!   g <tag> <count*8> <bytes>                  ever, with a tag
//!   o <usable> <requested> <age ns> <uid> <tag> <generation>     one a live sample
//! end
//! ```
//! Counts of `c` are of the moment of the dump; the others are as they are when the line is written.

use super::super::books::Books;
use super::super::counts::Sums;
use super::super::desk::Sheet;
use super::super::list;
use super::super::numbers::Estimate;
use super::super::record::Handle;
use super::super::sample::{self, Life};
use super::super::stack::Stack;
use super::super::thread::{self, Thread};
use super::super::{BOOKS, now_ns};
use super::{Dump, PIECE};
use crate::size::SMALL_CLASSES;

/// Slabs of a small class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SlabFigures {
    pub(crate) usable: usize,
    pub(crate) objects: usize,
    pub(crate) slabs: usize,
    pub(crate) slab_bytes: usize,
    /// Bytes of slots in them that nobody uses.
    pub(crate) free_bytes: usize,
}

pub(super) enum Stage {
    Head,
    Threads(Option<Handle<Thread>>),
    Classes(usize),
    Stacks(Option<Handle<Stack>>),
    Objects(Handle<Stack>),
    Done,
}

impl Dump {
    /// Writes some more of the details, as far as there is room. `false`: that was all. Inside a passage, no lock held.
    pub(crate) fn fill_details(
        &mut self,
        sheet: &mut Sheet,
        slabs: &[SlabFigures; SMALL_CLASSES],
        unix_seconds: u64,
    ) -> bool {
        let now_ns = now_ns();
        self.fill_details_from(&BOOKS.lock(), sheet, slabs, (now_ns, unix_seconds))
    }

    pub(in super::super) fn fill_details_from(
        &mut self,
        books: &Books,
        sheet: &mut Sheet,
        slabs: &[SlabFigures; SMALL_CLASSES],
        time: (u64, u64),
    ) -> bool {
        let begin = sheet.as_bytes().len();
        while !sheet.is_full() && sheet.as_bytes().len() < begin + PIECE {
            if let Stage::Done = self.later {
                return false;
            }
            self.step_details(books, sheet, slabs, time);
        }
        true
    }

    fn step_details(
        &mut self,
        books: &Books,
        sheet: &mut Sheet,
        slabs: &[SlabFigures; SMALL_CLASSES],
        (now_ns, unix_seconds): (u64, u64),
    ) {
        let held = &books.held;
        self.later = match self.later {
            Stage::Head => {
                sheet.text("\nJEMOXIDE_DETAILS/1\n");
                row(sheet, "time", &[now_ns, unix_seconds]);
                let peak = books.peak.get();
                row(sheet, "peak", &[peak.bytes, peak.ns]);
                Stage::Threads(books.threads.first())
            }
            Stage::Threads(Some(at)) => {
                let own = at.of(held);
                sheet.text("thread ").decimal(own.uid);
                let (name, len) = own.name();
                if len > 0 {
                    sheet.text(" ").bytes(&name[..len]);
                }
                sheet.text("\n");
                Stage::Threads(list::after::<thread::All, _>(at, held))
            }
            Stage::Threads(None) => Stage::Classes(0),
            Stage::Classes(at) => match slabs.get(at) {
                Some(class) => {
                    if class.slabs > 0 {
                        let SlabFigures {
                            usable,
                            objects,
                            slabs,
                            slab_bytes,
                            free_bytes,
                        } = *class;
                        let numbers = [usable, objects, slabs, slab_bytes, free_bytes];
                        row(sheet, "class", &numbers.map(|number| number as u64));
                    }
                    Stage::Classes(at + 1)
                }
                None => Stage::Stacks(self.first),
            },
            Stage::Stacks(Some(at)) => {
                let own = at.of(held);
                if self.block(own, books, sheet) {
                    books.cursor.set(own.samples.first());
                    Stage::Objects(at)
                } else {
                    Stage::Stacks(own.sorted.get())
                }
            }
            Stage::Objects(stack) => match books.cursor.get() {
                Some(life) => {
                    let next = list::after::<sample::OfStack, _>(life, held);
                    books.cursor.set(next);
                    object(sheet, life.of(held), books, now_ns);
                    Stage::Objects(stack)
                }
                None => Stage::Stacks(stack.of(held).sorted.get()),
            },
            Stage::Stacks(None) => {
                sheet.text("end\n");
                Stage::Done
            }
            Stage::Done => Stage::Done,
        };
    }

    /// The lines of a stack but those of its objects. `false`: there was never anything.
    fn block(&self, stack: &Stack, books: &Books, sheet: &mut Sheet) -> bool {
        if stack.era.get() != books.era.get() {
            return false;
        }
        let high = stack.tide.high(books.peak.get().number);
        let ever: Sums = stack.gone.get().plus(self.sum(stack, books).cumulative);
        if high == Estimate::ZERO && ever == Sums::ZERO && stack.samples.is_empty() {
            return false;
        }
        Self::frames(sheet, stack);
        for (name, Estimate { eighths, bytes }) in [("  p", high), ("  c", ever.estimate)] {
            row(sheet, name, &[eighths, bytes]);
        }
        for (name, chain) in [("  l", &stack.lives), ("  g", &stack.tags)] {
            chain.each(&books.held, |value, Estimate { eighths, bytes }| {
                row(sheet, name, &[u64::from(value), eighths, bytes]);
            });
        }
        true
    }
}

fn object(sheet: &mut Sheet, life: &Life, books: &Books, now_ns: u64) {
    let uid = life.tally.of(&books.held).thread.of(&books.held).uid;
    let numbers = [
        life.usable as u64,
        life.requested.get() as u64,
        now_ns.saturating_sub(life.born_ns),
        uid,
        u64::from(life.tag()),
        u64::from(life.generation),
    ];
    row(sheet, "  o", &numbers);
}

fn row(sheet: &mut Sheet, name: &str, numbers: &[u64]) {
    sheet.text(name);
    for &number in numbers {
        sheet.text(" ").decimal(number);
    }
    sheet.text("\n");
}
