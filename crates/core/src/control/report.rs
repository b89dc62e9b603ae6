//! The report: where the figures of `stats::report` are kept, and when they are brought up to date.
//!
//! Q1  The file is mapped at boot and written on ticks and at exit; losing it costs nothing. The call at exit is
//!     registered where a report is wanted: no other process pays for it, one that never allocates least of all.
//! Q2  A forked child lets go of its parent's file and makes its own at its next tick or exit.

use crate::ds::text::Line;
use crate::options::{Options, PATH_MAX};
use crate::stats::report::{LAYOUT, MAGIC, Report};
use crate::stats::rss::RssReport;
use crate::stats::{accounts, snapshot};
use crate::sync::Mutex;
use crate::sys::{memory, process};
use crate::thread::{self, passage::Passage};
use core::ffi::CStr;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// An object of so many bytes may be the peak all by itself: who hands one out brings the report up to date.
pub(crate) const NOTED_BYTES: usize = 1 << 20;

struct State {
    dir: [u8; PATH_MAX],
    dir_len: usize,
    file: *mut Report,
    peak_active: usize,
}

// SAFETY: the mapping is this module's alone, used under the lock.
unsafe impl Send for State {}

#[unsafe(link_section = ".data.jemoxide_start")]
static WANTED: AtomicBool = AtomicBool::new(false);
#[unsafe(link_section = ".data.jemoxide_start")]
static ARMED: AtomicBool = AtomicBool::new(false);
#[unsafe(link_section = ".data.jemoxide_start")]
static COUNTING: AtomicBool = AtomicBool::new(false);
/// Process that the file belongs to.
static OWNER: AtomicU64 = AtomicU64::new(0);
static STATE: Mutex<State, 0> = Mutex::new(State {
    dir: [0; PATH_MAX],
    dir_len: 0,
    file: ptr::null_mut(),
    peak_active: 0,
});

/// Notes where the report goes. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    if !options.report_dir.is_empty() {
        COUNTING.store(options.count, Ordering::Relaxed);
        begin(options.report_dir);
        WANTED.store(true, Ordering::Relaxed);
    }
}

#[cold]
#[inline(never)]
fn begin(dir: &[u8]) {
    let mut state = STATE.lock();
    let len = dir.len().min(PATH_MAX);
    state.dir[..len].copy_from_slice(&dir[..len]);
    state.dir_len = len;
    state.open();
}

/// Has the report, if one is wanted, completed when the process leaves through `exit`. May allocate from us.
pub(super) fn arm() {
    if WANTED.load(Ordering::Relaxed)
        && !ARMED.swap(true, Ordering::Relaxed)
        && !process::at_exit(complete)
    {
        ARMED.store(false, Ordering::Relaxed);
    }
}

extern "C" fn complete() {
    let _passage = Passage::enter(thread::current().cache());
    update(true);
}

impl State {
    fn open(&mut self) {
        let mut path = Line::new();
        path.bytes(&self.dir[..self.dir_len])
            .text("/")
            .decimal(process::id() as usize)
            .text("\0");
        let Ok(path) = CStr::from_bytes_with_nul(path.as_bytes()) else {
            return;
        };
        if let Some(file) = process::map_new_file(path, size_of::<Report>()) {
            self.file = file.as_ptr().cast();
            // SAFETY: a fresh shared mapping of that size, zeros.
            unsafe {
                (*self.file).magic = MAGIC;
                (*self.file).layout = LAYOUT;
                (*self.file).pid = u64::from(process::id());
                (*self.file).counting = u64::from(COUNTING.load(Ordering::Relaxed));
            }
            OWNER.store(u64::from(process::id()), Ordering::Relaxed);
        }
    }

    fn write(&mut self, rss: Option<&RssReport>) {
        if OWNER.load(Ordering::Relaxed) == 0 {
            // Rule Q2: a child after a fork.
            if let Some(old) = NonNull::new(self.file.cast::<u8>()) {
                let mapped = size_of::<Report>().next_multiple_of(memory::page_size());
                // SAFETY: the mapping of the parent's file; nobody uses it here.
                unsafe { memory::unmap(old, mapped) };
            }
            self.file = ptr::null_mut();
            self.peak_active = 0;
            self.open();
        }
        let active = snapshot::active_at_once();
        let Some(mut file) = NonNull::new(self.file) else {
            return;
        };
        // SAFETY: mapped at `open`, ours under the lock; readers are other processes (rule R1).
        let file = unsafe { file.as_mut() };
        file.sequence += 1;
        fence(Ordering::Release);
        snapshot::take(&mut file.now);
        snapshot::add_by_request(&mut file.now);
        if active >= self.peak_active {
            self.peak_active = active;
            file.peak = file.now;
        }
        if let Some(rss) = rss {
            file.rss = *rss;
            file.exited = 1;
        }
        fence(Ordering::Release);
        file.sequence += 1;
    }
}

/// Brings the report up to date. Called inside a passage, no lock held.
pub(crate) fn update(exited: bool) {
    if !WANTED.load(Ordering::Relaxed) {
        return;
    }
    if exited {
        // Asks the system much: not under the lock.
        let mut rss = RssReport::default();
        accounts::take(&mut rss);
        STATE.lock().write(Some(&rss));
    } else if let Some(mut state) = STATE.try_lock() {
        state.write(None);
    }
}

/// Lets go of the parent's file, in a forked child.
pub(super) fn detach() {
    OWNER.store(0, Ordering::Relaxed);
}
