//! Service: what the purge thread does for an open channel, a turn at a time.
//!
//! ```text
//! turn:  file (made anew? opened anew)  ──>  sweep, request?  ──>  look: figures  ──>  dump, show
//!        inside the gate                     outside               inside              outside
//! ```
//! E1  Files are read and written outside the gate, with no lock held: a fork never waits for a disk.
//! E2  A request that costs time is done again no sooner than [`REST`] times as long as it took: whoever asks without end
//!     slows the process by a twentieth of a processor at most. Who asks sooner gets what is there, which tells its age.
//! E3  Figures are written ten times a second while somebody asks for something now and then, else once a second.

use super::family::{Family, NAME, PROFILE};
use super::{boot, figures};
use crate::control::profiling;
use crate::prof;
use crate::stats::accounts;
use crate::stats::live::{self, Figures, MAILBOX_AT, MAILBOX_WORDS, Mailbox, ask};
use crate::stats::rss::RssReport;
use crate::sys::clock;
use crate::sys::shared::SharedFile;
use core::cell::UnsafeCell;
use core::slice;

/// Rule E2.
const REST: u64 = 20;
/// Rule E3: how long a request keeps figures fresh, and how old they are without.
const WATCHED_NS: u64 = 10_000_000_000;
const UNWATCHED_NS: u64 = 900_000_000;

/// Bytes of the name of a heap profile.
const DUMP: usize = NAME + PROFILE.len();

/// Room for the figures, which are too many for a small stack.
pub(super) struct Shown(UnsafeCell<Figures>);

// SAFETY: who makes a reference of the place is the only one (`super::service`).
unsafe impl Sync for Shown {}

impl Shown {
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new(Figures::ZERO))
    }

    /// Where the figures are.
    pub(super) const fn place(&self) -> *mut Figures {
        self.0.get()
    }
}

/// The purge thread's end of the channel.
pub(in crate::control) struct Service<'a> {
    file: Option<SharedFile>,
    /// The number of that file among those made.
    number: Option<u32>,
    /// The file is held: others see that it is somebody's (N2).
    is_held: bool,
    /// Whose files are to be swept in this turn.
    sweep: Option<Family>,
    figures: &'a mut Figures,
    /// The request to be dealt with in this turn.
    request: Option<Mailbox>,
    /// When somebody asked for something last, and when figures were written.
    asked_ns: u64,
    shown_ns: u64,
    rss_due_ns: u64,
    dump_due_ns: u64,
    /// Where a heap profile is to be written in this turn; empty: nowhere.
    dump: [u8; DUMP],
    dump_len: usize,
}

impl<'a> Service<'a> {
    /// Nothing is open; what is shown is put together in `figures`.
    pub(in crate::control) fn new(figures: &'a mut Figures) -> Self {
        *figures = Figures::ZERO;
        Self {
            file: None,
            number: None,
            is_held: false,
            sweep: None,
            figures,
            request: None,
            asked_ns: 0,
            shown_ns: 0,
            rss_due_ns: 0,
            dump_due_ns: 0,
            dump: [0; DUMP],
            dump_len: 0,
        }
    }

    /// Lets go of the file.
    pub(in crate::control) fn leave(&mut self) {
        self.file = None;
        self.number = None;
        self.is_held = false;
    }

    /// Has the file of this moment open. Inside the gate.
    pub(in crate::control) fn find_file(&mut self) {
        if let Some((file, number, sweep)) = super::file_after(self.number) {
            self.leave();
            *self.figures = Figures::ZERO;
            (self.file, self.number) = (Some(file), Some(number));
            self.sweep = sweep;
            self.shown_ns = 0;
        }
    }

    /// Holds the file. One that was taken away before is made anew in the next turn.
    fn hold(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_held) else {
            return;
        };
        self.is_held = file.hold();
        if self.is_held && file.is_removed() {
            self.leave();
        }
    }

    /// Holds the file, takes away what ended children left (N2), and looks for a request. `true`: figures are due. Outside the
    /// gate.
    pub(in crate::control) fn is_due(&mut self) -> bool {
        self.hold();
        if let Some(family) = self.sweep.take() {
            super::sweep(&family);
        }
        let Some(file) = &self.file else {
            return false;
        };
        let mut words = [0; MAILBOX_WORDS];
        let read = file.read_words_at(&mut words, MAILBOX_AT);
        let request = Mailbox::of_words(&words).filter(|_| read);
        let now = clock::now_ns();
        // One that came too soon stays where it is until its time (E2).
        let is_time = |wanted: u64| wanted & ask::DUMP == 0 || now >= self.dump_due_ns;
        let answered = self.figures.answered;
        self.request =
            request.filter(|request| request.ticket != answered && is_time(request.wanted));
        if self.request.is_some() {
            self.asked_ns = now;
        }
        let is_watched = self.asked_ns != 0 && now - self.asked_ns < WATCHED_NS;
        is_watched || now - self.shown_ns > UNWATCHED_NS
    }

    /// Deals with the request, but for a heap profile, and puts the figures of this moment together. Inside the gate, no
    /// lock held.
    pub(in crate::control) fn look(&mut self) {
        if let Some(request) = self.request.take() {
            self.figures.refused = self.deal_with(request.wanted);
            self.figures.answered = request.ticket;
        }
        figures::take(self.figures);
    }

    /// Does what is wanted; answers the bits of what could not be done.
    fn deal_with(&mut self, wanted: u64) -> u64 {
        let refused = wanted & !(ask::RSS | ask::SAMPLE | ask::STOP_SAMPLING | ask::DUMP);
        if wanted & ask::SAMPLE != 0 {
            profiling::start(true);
            prof::set_active(true);
        } else if wanted & ask::STOP_SAMPLING != 0 && prof::is_started() {
            prof::set_active(false);
        }
        if wanted & ask::DUMP != 0 {
            self.dump_len = super::name_with(PROFILE, &mut self.dump);
        }
        let begun = clock::fine_ns();
        if wanted & ask::RSS != 0 && begun >= self.rss_due_ns {
            let mut rss = RssReport::ZERO;
            accounts::take(&mut rss);
            self.figures.rss = rss;
            self.figures.rss_at_ns = boot::uptime_ns().max(1);
            let now = clock::fine_ns();
            self.rss_due_ns = now + (now - begun) * REST;
        }
        refused
    }

    /// Writes the heap profile that was asked for. Outside the gate.
    pub(in crate::control) fn dump(&mut self) {
        let Some(path @ [_, ..]) = self.dump.get(..self.dump_len) else {
            return;
        };
        let begun = clock::fine_ns();
        // One of a process that never sampled would say nothing.
        if !prof::is_started() || !profiling::dump_for_channel(path) {
            self.figures.refused |= ask::DUMP;
        }
        let now = clock::fine_ns();
        self.dump_due_ns = now + (now - begun) * REST;
        self.dump_len = 0;
    }

    /// Writes the figures. Outside the gate.
    pub(in crate::control) fn show(&mut self) {
        let figures = &mut *self.figures;
        figures.sequence = figures.sequence.wrapping_add(1);
        figures.check = 0;
        let words: *mut u64 = (&raw mut *figures).cast();
        // SAFETY: the structure is words and nothing else (rule L1 and its assertion), borrowed for as long.
        let words = unsafe { slice::from_raw_parts_mut(words, live::FIGURES_WORDS) };
        if let Some((last, words)) = words.split_last_mut() {
            *last = live::check(words);
        }
        let (at, len) = (words.as_ptr().cast::<u8>(), size_of_val(words));
        // SAFETY: the same words, as bytes.
        let bytes = unsafe { slice::from_raw_parts(at, len) };
        // A full disk: the next turn tries again, and readers see how old the figures are.
        let _ = self.file.as_ref().map(|file| file.write_at(bytes, 0));
        self.shown_ns = clock::now_ns();
    }
}
