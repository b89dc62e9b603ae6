//! The last samples as JSON, a sheet at a time.
//!
//! Source: the testkit's facts of `experimental.prof_recent.alloc_dump`.

use super::super::BOOKS;
use super::super::books::Books;
use super::super::desk::Sheet;
use super::super::list;
use super::super::record::Held;
use super::{InOrder, Moment, Recent};

/// A text under way; whose it is has the desk.
pub(crate) struct RecentText {
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    First,
    Further,
    Done,
}

impl RecentText {
    pub(crate) const fn begin() -> Self {
        Self { stage: Stage::Head }
    }

    /// Writes some more, as far as there is room. `false`: that was all. Inside a passage, no lock held.
    pub(crate) fn fill(&mut self, sheet: &mut Sheet) -> bool {
        self.fill_from(&BOOKS.lock(), sheet)
    }

    pub(in super::super) fn fill_from(&mut self, books: &Books, sheet: &mut Sheet) -> bool {
        // Few, as who samples waits.
        for _ in 0..16 {
            if self.stage == Stage::Done || sheet.is_full() {
                break;
            }
            self.step(books, sheet);
        }
        self.stage != Stage::Done
    }

    fn step(&mut self, books: &Books, sheet: &mut Sheet) {
        let recents = &books.recents;
        self.stage = match (self.stage, recents.cursor.get()) {
            (Stage::Head, _) => {
                let interval = 1u64 << books.lg_sample.get();
                sheet.text("{\"sample_interval\":").decimal(interval);
                sheet.text(",\"recent_alloc_max\":");
                match recents.most.get() {
                    usize::MAX => sheet.text("-1"),
                    most => sheet.decimal(most as u64),
                };
                sheet.text(",\"recent_alloc\":[");
                recents.cursor.set(recents.list.first());
                Stage::First
            }
            (_, Some(at)) => {
                if self.stage == Stage::Further {
                    sheet.text(",");
                }
                entry(sheet, at.of(&books.held), &books.held);
                recents
                    .cursor
                    .set(list::after::<InOrder, _>(at, &books.held));
                Stage::Further
            }
            (_, None) => {
                sheet.text("]}");
                Stage::Done
            }
        };
    }
}

fn entry(sheet: &mut Sheet, entry: &Recent, held: &Held) {
    sheet.text("{\"size\":").decimal(entry.requested as u64);
    sheet.text(",\"usize\":").decimal(entry.usable as u64);
    let died = entry.died.get();
    sheet
        .text(",\"released\":")
        .text(if died.is_some() { "true" } else { "false" });
    moment(sheet, "alloc", entry.born, held);
    if let Some(died) = died {
        moment(sheet, "dalloc", died, held);
    }
    sheet.text("}");
}

fn moment(sheet: &mut Sheet, what: &str, moment: Moment, held: &Held) {
    if let Some(thread) = moment.thread {
        let own = thread.of(held);
        sheet.text(",\"").text(what).text("_thread_uid\":");
        sheet.decimal(own.uid);
        let (name, len) = own.name();
        if len > 0 {
            sheet.text(",\"").text(what).text("_thread_name\":");
            sheet.quoted(&name[..len]);
        }
    }
    sheet
        .text(",\"")
        .text(what)
        .text("_time\":")
        .decimal(moment.ns);
    sheet.text(",\"").text(what).text("_trace\":");
    let frames = moment
        .stack
        .map_or(&[][..], |stack| stack.of(held).frames());
    trace(sheet, frames);
}

/// `["0x1","0x2"]`.
pub(in super::super) fn trace(sheet: &mut Sheet, frames: &[usize]) {
    sheet.text("[");
    for (at, &frame) in frames.iter().enumerate() {
        sheet.text(if at == 0 { "\"" } else { ",\"" });
        sheet.hex(frame).text("\"");
    }
    sheet.text("]");
}
