//! A log as JSON, a sheet at a time.
//!
//! ```text
//! info ── threads ── stack_traces ── allocations      three walks over the entries: what an entry names gets its number
//!                                                     at its first mention, which is where it stands in its list
//! ```
//! Source: the testkit's facts of `prof.log_start`.

use super::super::BOOKS;
use super::super::books::Books;
use super::super::desk::Sheet;
use super::super::recent::Moment;
use super::super::recent::text::trace;
use super::super::record::{Handle, Held, Link};
use super::Entry;
use core::cell::Cell;

/// What stands at the head of a log.
#[derive(Clone, Copy)]
pub(crate) struct Info {
    pub(crate) duration_ns: u64,
    pub(crate) version: &'static str,
    pub(crate) is_fine: bool,
    pub(crate) process: u32,
}

/// A text under way, of a log that has ended; whose it is has the desk.
pub(crate) struct LogText {
    info: Info,
    stage: Stage,
    /// Numbers given in this stage.
    count: u32,
}

#[derive(Clone, Copy)]
enum Stage {
    Head,
    Threads(Option<Handle<Entry>>),
    Stacks(Option<Handle<Entry>>),
    Entries(Option<Handle<Entry>>),
    Done,
}

impl LogText {
    pub(crate) const fn begin(info: Info) -> Self {
        Self {
            info,
            stage: Stage::Head,
            count: 0,
        }
    }

    /// Writes some more, as far as there is room. `false`: that was all. Inside a passage, no lock held.
    pub(crate) fn fill(&mut self, sheet: &mut Sheet) -> bool {
        self.fill_from(&BOOKS.lock(), sheet)
    }

    pub(in super::super) fn fill_from(&mut self, books: &Books, sheet: &mut Sheet) -> bool {
        // Some, as who samples waits.
        for _ in 0..64 {
            if matches!(self.stage, Stage::Done) || sheet.is_full() {
                break;
            }
            self.step(books, sheet);
        }
        !matches!(self.stage, Stage::Done)
    }

    fn step(&mut self, books: &Books, sheet: &mut Sheet) {
        let held = &books.held;
        let first = books.log.first.get();
        self.stage = match self.stage {
            Stage::Head => {
                self.head(sheet, books.lg_sample.get());
                sheet.text(",\"threads\":[");
                self.count = 0;
                Stage::Threads(first)
            }
            Stage::Threads(Some(at)) => {
                for thread in both(at.of(held))
                    .into_iter()
                    .filter_map(|moment| moment.thread)
                {
                    let own = thread.of(held);
                    if self.number(sheet, &own.logged) {
                        sheet.text("{\"thr_uid\":").decimal(own.uid);
                        let (name, len) = own.name();
                        sheet.text(",\"thr_name\":").quoted(&name[..len]).text("}");
                    }
                }
                Stage::Threads(after(at, held))
            }
            Stage::Threads(None) => {
                sheet.text("],\"stack_traces\":[");
                self.count = 0;
                Stage::Stacks(first)
            }
            Stage::Stacks(Some(at)) => {
                for stack in both(at.of(held))
                    .into_iter()
                    .filter_map(|moment| moment.stack)
                {
                    let own = stack.of(held);
                    if self.number(sheet, &own.logged) {
                        trace(sheet, own.frames());
                    }
                }
                Stage::Stacks(after(at, held))
            }
            Stage::Stacks(None) => {
                sheet.text("],\"allocations\":[");
                self.count = 0;
                Stage::Entries(first)
            }
            Stage::Entries(Some(at)) => {
                if self.count > 0 {
                    sheet.text(",");
                }
                self.count = 1;
                allocation(sheet, at.of(held), held);
                Stage::Entries(after(at, held))
            }
            Stage::Entries(None) => {
                sheet.text("]}");
                Stage::Done
            }
            Stage::Done => Stage::Done,
        };
    }

    fn head(&self, sheet: &mut Sheet, lg_sample: u32) {
        let info = self.info;
        sheet
            .text("{\"info\":{\"duration\":")
            .decimal(info.duration_ns);
        sheet.text(",\"version\":").quoted(info.version.as_bytes());
        sheet
            .text(",\"lg_sample_rate\":")
            .decimal(u64::from(lg_sample));
        let resolution = if info.is_fine { "high" } else { "default" };
        sheet.text(",\"prof_time_resolution\":");
        sheet.quoted(resolution.as_bytes());
        sheet.text(",\"pid\":").decimal(u64::from(info.process));
        sheet.text("}");
    }

    /// Gives what is mentioned for the first time its number, and a comma before it where it is not the first.
    fn number(&mut self, sheet: &mut Sheet, logged: &Cell<u32>) -> bool {
        let is_new = logged.get() == 0;
        if is_new {
            if self.count > 0 {
                sheet.text(",");
            }
            self.count += 1;
            logged.set(self.count);
        }
        is_new
    }
}

fn both(entry: &Entry) -> [Moment; 2] {
    [entry.born, entry.died]
}

fn after(entry: Handle<Entry>, held: &Held) -> Option<Handle<Entry>> {
    let next: &Link<Entry> = &entry.of(held).next;
    next.get()
}

fn allocation(sheet: &mut Sheet, entry: &Entry, held: &Held) {
    let number = |logged: Option<&Cell<u32>>| {
        u64::from(logged.map_or(0, |logged| logged.get().saturating_sub(1)))
    };
    let thread = |moment: Moment| number(moment.thread.map(|thread| &thread.of(held).logged));
    let stack = |moment: Moment| number(moment.stack.map(|stack| &stack.of(held).logged));
    let Entry { born, died, .. } = *entry;
    sheet.text("{\"alloc_thread\":").decimal(thread(born));
    sheet.text(",\"free_thread\":").decimal(thread(died));
    sheet.text(",\"alloc_trace\":").decimal(stack(born));
    sheet.text(",\"free_trace\":").decimal(stack(died));
    sheet.text(",\"alloc_timestamp\":").decimal(born.ns);
    sheet.text(",\"free_timestamp\":").decimal(died.ns);
    sheet
        .text(",\"usize\":")
        .decimal(entry.usable as u64)
        .text("}");
}
