//! The profiler: which objects were sampled, where they came from, and what that says of all.
//!
//! ```text
//! sampler ──record(address, sizes, thread, frames)──> books: stack ── tally ── sample
//!         ──release(sample)─────────────────────────>        counted off, lifetime noted
//! control ──dump──> text of one moment, in pieces            reset, log, recent samples
//! ```
//! Which object is sampled is decided above, by [`gap_objects`]; here is counted what became of it. Nothing of this is
//! touched in a process that does not profile.
//!
//! | file | |
//! |---|---|
//! | `numbers` | gaps between samples, what a sample stands for |
//! | `record`, `list`, `table` | records by 32-bit names, in lists and hash tables |
//! | `counts`, `shares` | counters that remember a moment; counts by lifetime and by tag |
//! | `stack`, `thread`, `sample` | what is recorded |
//! | `books` | all of it, behind one lock |
//! | `unwind` | return addresses of the calling thread |
//! | `recent`, `log` | the last samples; lives of objects |
//! | `desk`, `dump` | the text of all that, a sheet at a time |
//! | `hooks` | functions of the application |
//!
//! Lock: profile, rank 3. Called inside the fork gate, no lock held.
//! Units: bytes, nanoseconds since the profiler started; estimates as in `numbers`.

mod books;
mod counts;
pub(crate) mod desk;
pub(crate) mod dump;
pub(crate) mod hooks;
mod list;
mod log;
mod numbers;
mod recent;
mod record;
mod sample;
mod shares;
mod stack;
mod table;
mod thread;
pub(crate) mod unwind;

pub(crate) use books::ClassCounts;
pub(crate) use log::text::{Info, LogText};
pub(crate) use numbers::gap_objects;
pub(crate) use recent::text::RecentText;
pub(crate) use sample::Sample;
pub(crate) use shares::{APART as TAGS_APART, OTHERS as OTHER_TAGS};
pub(crate) use stack::DEPTH_MAX;
pub(crate) use thread::{ThreadRef, active_at_first, has_system_names, set_active_at_first};

use crate::options::{Prof, ProfTimeResolution};
use crate::sync::{LockFigures, Mutex};
use crate::sys::{clock, probe, process};
use books::Books;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

static BOOKS: Mutex<Books, 3> = Mutex::new(Books::new());

/// Whether samples are taken: the profiler was started, and is active.
#[unsafe(link_section = ".data.jemoxide_start")]
static SAMPLING: AtomicBool = AtomicBool::new(false);
/// See [`generation`].
#[unsafe(link_section = ".data.jemoxide_start")]
static GENERATION: AtomicU32 = AtomicU32::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static STARTED: AtomicBool = AtomicBool::new(false);
/// See [`switches`].
static SWITCHES: AtomicU32 = AtomicU32::new(0);
static LG_SAMPLE: AtomicU32 = AtomicU32::new(0);
/// Frames of a stack, at most.
static DEPTH: AtomicU32 = AtomicU32::new(0);
/// Recent samples or a log want to know where objects are freed.
static WANTS_RELEASES: AtomicBool = AtomicBool::new(false);
/// Times are as fine as the clock has them.
static IS_FINE: AtomicBool = AtomicBool::new(false);
/// So many bytes were allocated that a dump is due.
static DUE: AtomicBool = AtomicBool::new(false);
/// When the profiler was started.
static STARTED_NS: AtomicU64 = AtomicU64::new(0);

/// A chosen object.
pub(crate) struct Event<'a> {
    /// Where it is.
    pub(crate) address: usize,
    /// Bytes that were asked for.
    pub(crate) requested: usize,
    /// Bytes that it has.
    pub(crate) usable: usize,
    /// Who allocated it.
    pub(crate) thread: ThreadRef,
    /// From where: return addresses, innermost first.
    pub(crate) frames: &'a [usize],
}

/// Whether samples are to be taken.
#[inline]
pub(crate) fn is_sampling() -> bool {
    SAMPLING.load(Ordering::Relaxed)
}

/// Whether the profiler was started.
pub(crate) fn is_started() -> bool {
    // Acquire: pairs with the Release in `start`.
    STARTED.load(Ordering::Acquire)
}

/// The mean of the bytes from one sample to the next, as a base-2 logarithm; 0 before the start.
pub(crate) fn lg_sample() -> u32 {
    LG_SAMPLE.load(Ordering::Relaxed)
}

/// 0 until samples are taken for the first time; another number, never 0, whenever sampling is switched on or off, or its
/// rate changes: distances drawn before are void.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Frames of a stack that are recorded, at most.
pub(crate) fn depth() -> usize {
    DEPTH.load(Ordering::Relaxed) as usize
}

/// Whether [`release`] is to be given the frames of who frees.
pub(crate) fn wants_release_frames() -> bool {
    WANTS_RELEASES.load(Ordering::Relaxed)
}

/// Whether a dump is due, by the bytes allocated since the last one; `true` once.
pub(crate) fn take_due() -> bool {
    DUE.load(Ordering::Relaxed) && DUE.swap(false, Ordering::Relaxed)
}

/// Records a chosen object. `None`: out of memory; the object stays an ordinary one.
pub(crate) fn record(event: &Event<'_>) -> Option<Sample> {
    let frames = event.frames.get(..depth()).unwrap_or(event.frames);
    let event = Event { frames, ..*event };
    let hash = stack::hash_of(event.frames);
    thread::refresh_name(event.thread);
    let now_ns = now_ns();
    let books = BOOKS.lock();
    let sample = Sample::of(books.record(&event, hash, now_ns)?)?;
    if books.pass_interval(event.usable) {
        DUE.store(true, Ordering::Relaxed);
    }
    drop(books);
    let weight = numbers::weight(event.usable, lg_sample()).bytes;
    probe!(otel_memory:alloc, event.address, event.requested, weight);
    Some(sample)
}

/// The sampled object dies, freed by `thread`; `frames` as [`wants_release_frames`] says, else empty.
pub(crate) fn release(sample: Sample, thread: ThreadRef, frames: &[usize]) {
    let frames = frames.get(..depth()).unwrap_or(frames);
    let now_ns = now_ns();
    if let Some(life) = sample.handle() {
        let books = BOOKS.lock();
        let address = life.of(&books.held).address();
        books.release(life, thread, frames, now_ns);
        drop(books);
        probe!(otel_memory:free, address);
    }
}

/// The object is asked for `requested` bytes from now on, which its place has.
pub(crate) fn note_request(sample: Sample, requested: usize) {
    if let Some(life) = sample.handle() {
        BOOKS.lock().note_request(life, requested);
    }
}

/// Where a live sample is, and its usable size.
pub(crate) fn place(sample: Sample) -> (usize, usize) {
    let books = BOOKS.lock();
    sample.handle().map_or((0, 0), |life| {
        let life = life.of(&books.held);
        (life.address(), life.usable)
    })
}

/// Notes what options say, which takes effect with [`start`]. Called once, by the boot.
pub(crate) fn prepare(options: &Prof) {
    thread::prepare(
        options.thread_active_init,
        options.sys_thread_name,
        seed(options.seed),
    );
    let books = BOOKS.lock();
    books.accumulates.set(options.accum);
    books.set_recents(usize::try_from(options.recent_alloc_max).ok());
    books
        .interval
        .set(match u32::try_from(options.lg_interval) {
            Ok(lg) => 1 << lg.min(63),
            Err(_) => 0,
        });
    books.until_dump.set(books.interval.get());
    books.keeps_all.set(options.accum || options.details);
    note_wants(&books);
    books.lg_sample.set(options.lg_sample.min(63) as u32);
    drop(books);
    DEPTH.store(options.bt_max.min(DEPTH_MAX) as u32, Ordering::Relaxed);
    let is_fine = options.time_resolution == ProfTimeResolution::High || options.details;
    IS_FINE.store(is_fine, Ordering::Relaxed);
}

/// Starts the profiler, unless it was; samples are taken if it is `active`. The caller sees to it that nobody else is about to
/// start it.
pub(crate) fn start(active: bool) {
    if !is_started() {
        STARTED_NS.store(clock::fine_ns(), Ordering::Relaxed);
        let lg_sample = BOOKS.lock().lg_sample.get();
        LG_SAMPLE.store(lg_sample, Ordering::Relaxed);
        // Release: who sees it started sees the rate and the options.
        STARTED.store(true, Ordering::Release);
    }
    if active {
        set_active(true);
    }
}

/// Whether samples are taken once the profiler was started: `prof.active`. Answers what held before.
pub(crate) fn set_active(active: bool) -> bool {
    let before = SAMPLING.swap(active, Ordering::Relaxed);
    if before != active {
        change_generation();
    }
    // AcqRel: see [`switch_on`].
    SWITCHES.fetch_add(1, Ordering::AcqRel);
    before
}

/// Has samples taken where none are, and answers the number of the switch; `None`: they are. The switch is counted before it is
/// made, others after: whoever comes second is seen to.
pub(crate) fn switch_on() -> Option<u32> {
    let number = SWITCHES.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    if SAMPLING.swap(true, Ordering::Relaxed) {
        return None;
    }
    change_generation();
    Some(number)
}

/// How often sampling was switched, or was to be.
pub(crate) fn switches() -> u32 {
    SWITCHES.load(Ordering::Relaxed)
}

fn change_generation() {
    let next = |generation: u32| Some(generation.checked_add(1).unwrap_or(1));
    let _ = GENERATION.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
}

/// Forgets all samples; they are taken at `lg_sample` from now on, or as before. Takes time for each stack, not under the
/// lock. The caller has the desk. Each step is to be a passage: `false` when all is cleared.
pub(crate) fn begin_reset(lg_sample: Option<u32>) {
    let books = BOOKS.lock();
    let lg_sample = lg_sample.map_or(books.lg_sample.get(), |lg| lg.min(63));
    books.reset(lg_sample);
    LG_SAMPLE.store(lg_sample, Ordering::Relaxed);
    change_generation();
}

/// Clears some of what [`begin_reset`] made void. `true`: there is more.
pub(crate) fn clear_some() -> bool {
    BOOKS.lock().clear_some()
}

/// Bytes from one dump to the next; 0: none.
pub(crate) fn interval() -> u64 {
    BOOKS.lock().interval.get()
}

/// How many of the last samples are kept; `None`: any number.
pub(crate) fn recents() -> Option<usize> {
    let most = BOOKS.lock().recents.most.get();
    (most != usize::MAX).then_some(most)
}

/// Sets that.
pub(crate) fn set_recents(most: Option<usize>) {
    let books = BOOKS.lock();
    books.set_recents(most);
    note_wants(&books);
    drop(books);
    while BOOKS.lock().drop_recent() {}
}

/// Begins a log of lives. `false`: one is on, or being written.
pub(crate) fn start_log() -> bool {
    let now_ns = now_ns();
    let books = BOOKS.lock();
    let started = books.start_log(now_ns);
    note_wants(&books);
    started
}

/// Ends it. `None`: there is none; else how long it was on. It is to be written, and its entries to be dropped by
/// [`drop_entry`], by who has the desk.
pub(crate) fn stop_log() -> Option<u64> {
    let now_ns = now_ns();
    let books = BOOKS.lock();
    let since_ns = books.stop_log()?;
    note_wants(&books);
    Some(now_ns.saturating_sub(since_ns))
}

/// Whether a log of lives is on.
pub(crate) fn is_logging() -> bool {
    BOOKS.lock().is_logging()
}

/// Drops an entry of the log that was written. `false`: there is none.
pub(crate) fn drop_entry() -> bool {
    BOOKS.lock().drop_entry()
}

fn note_wants(books: &Books) {
    let wants = books.keeps_recents() || books.is_logging();
    WANTS_RELEASES.store(wants, Ordering::Relaxed);
}

/// What objects are marked with that are allocated from now on.
pub(crate) fn object_generation() -> u32 {
    BOOKS.lock().generation.get()
}

/// Raises that by one.
pub(crate) fn raise_object_generation() -> u32 {
    let books = BOOKS.lock();
    books.generation.set(books.generation.get().wrapping_add(1));
    books.generation.get()
}

/// Whether times are as fine as the clock has them.
pub(crate) fn is_fine() -> bool {
    IS_FINE.load(Ordering::Relaxed)
}

/// In a forked child: nobody dumps.
pub(crate) fn forget_dump() {
    desk::forget();
    if is_started() {
        BOOKS.lock().forget_dump();
    }
}

/// Samples that were dropped as there was no memory for their records.
pub(crate) fn dropped() -> u64 {
    BOOKS.lock().dropped.get()
}

/// Whether tags of a stack were counted together since this was asked last: there were more than [`TAGS_APART`].
pub(crate) fn take_others() -> bool {
    BOOKS.lock().has_others.replace(false)
}

/// Samples of the size class with index `class`.
pub(crate) fn class_counts(class: usize) -> ClassCounts {
    let books = BOOKS.lock();
    books
        .by_class
        .get(class)
        .map_or(ClassCounts::default(), core::cell::Cell::get)
}

/// What was counted of the lock. `None`: it was never taken.
pub(crate) fn lock_figures() -> Option<LockFigures> {
    is_started().then(|| BOOKS.figures())
}

/// Counts that anew.
pub(crate) fn forget_lock_figures() {
    if is_started() {
        BOOKS.forget_figures();
    }
}

/// Nanoseconds since the profiler was started.
fn now_ns() -> u64 {
    let now = if IS_FINE.load(Ordering::Relaxed) {
        clock::fine_ns()
    } else {
        clock::now_ns()
    };
    // The coarse clock may be behind the fine one that the start was timed by.
    now.saturating_sub(STARTED_NS.load(Ordering::Relaxed))
}

/// Where random sequences begin: where a test says, else at another place in every process.
fn seed(fixed: usize) -> u64 {
    match fixed {
        0 => process::random_word() ^ clock::fine_ns(),
        fixed => fixed as u64,
    }
}

/// Switches sampling on, at a mean and from a seed, or off; for tests.
#[cfg(test)]
pub(crate) fn switch(lg_sample: Option<u32>, seed: u64) {
    start(false);
    thread::set_seed(seed);
    set_active_at_first(true);
    LG_SAMPLE.store(lg_sample.unwrap_or(0), Ordering::Relaxed);
    BOOKS.lock().lg_sample.set(lg_sample.unwrap_or(0));
    SAMPLING.store(lg_sample.is_some(), Ordering::Relaxed);
    change_generation();
}

#[cfg(test)]
mod check;
#[cfg(test)]
mod tests;
