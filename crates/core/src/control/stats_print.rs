//! Statistics, printed: when the program asks, when it leaves, and every so many bytes.
//!
//! I1  What is printed is asked for name by name, each in a passage of its own: the program's callback runs outside the
//!     gate, with no lock held, and may allocate.
//! I2  The call at exit is registered where it is wanted.
//! I3  The bytes of `stats_interval` are those of all objects that the application was given, looked at on ticks; one
//!     thread prints at a time.

use super::boot;
use super::mallctl::{self, Kind, Request};
use crate::arena::large;
use crate::options::Options;
use crate::size::{CLASSES, SizeClass};
use crate::stats::print::{self, ARENA_NAME, Letters, Name, Sink, Source, Value};
use crate::sys::memory::{self, HugePolicy};
use crate::sys::process;
use crate::thread::{self, passage::Passage, registry};
use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[unsafe(link_section = ".data.jemoxide_start")]
static AT_EXIT: AtomicBool = AtomicBool::new(false);
/// Bytes from one print to the next plus one; 0: none.
#[unsafe(link_section = ".data.jemoxide_start")]
static INTERVAL: AtomicU64 = AtomicU64::new(0);
/// Bytes at which the next one is due.
static NEXT: AtomicU64 = AtomicU64::new(0);
static IS_PRINTING: AtomicBool = AtomicBool::new(false);

/// Notes what is wanted. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    if options.stats_print {
        AT_EXIT.store(true, Ordering::Relaxed);
    }
    if let Ok(bytes) = u64::try_from(options.stats_interval) {
        // Each byte is the least there is.
        let bytes = bytes.max(1);
        NEXT.store(bytes, Ordering::Relaxed);
        INTERVAL.store(bytes, Ordering::Relaxed);
    }
}

/// Has statistics printed when the process leaves through `exit`, if that is wanted. May allocate from us.
pub(super) fn arm() {
    if AT_EXIT.load(Ordering::Relaxed)
        && AT_EXIT.swap(false, Ordering::Relaxed)
        && !process::at_exit(print_at_exit)
    {
        AT_EXIT.store(true, Ordering::Relaxed);
    }
}

extern "C" fn print_at_exit() {
    let letters = boot::options().stats_print_opts;
    print(&mut Messages, Letters::of(letters.as_bytes()));
}

/// Whether enough was allocated for statistics to be printed; `true` for one thread: [`print_due`] is its task, outside
/// the gate. Called inside a passage, on ticks.
pub(crate) fn is_due() -> bool {
    let interval = INTERVAL.load(Ordering::Relaxed);
    if interval == 0 {
        return false;
    }
    let (allocated, next) = (allocated_bytes(), NEXT.load(Ordering::Relaxed));
    allocated >= next && !IS_PRINTING.swap(true, Ordering::Relaxed) && {
        let passed = (allocated - next) / interval + 1;
        NEXT.store(next + passed * interval, Ordering::Relaxed);
        true
    }
}

/// Prints what is due.
pub(crate) fn print_due() {
    let letters = boot::options().stats_interval_opts;
    print(&mut Messages, Letters::of(letters.as_bytes()));
    IS_PRINTING.store(false, Ordering::Relaxed);
}

/// Bytes of all objects that the application was given so far: large ones by the size of their class.
fn allocated_bytes() -> u64 {
    let bytes = |class: SizeClass| {
        let objects = if class.is_cached() {
            registry::totals(class).popped
        } else {
            large::figures(class.index()).nmalloc
        };
        objects.saturating_mul(class.size() as u64)
    };
    let classes = (0..CLASSES).filter_map(SizeClass::new);
    classes.map(bytes).fold(0, u64::saturating_add)
}

/// Prints what `letters` leave, as of now. Called outside the gate.
pub(crate) fn print(sink: &mut impl Sink, letters: Letters) {
    {
        let _passage = Passage::enter(thread::current().cache());
        mallctl::refresh();
    }
    print::print(&Tree, sink, letters);
}

/// Where messages go.
pub(crate) struct Messages;

impl Sink for Messages {
    fn take(&mut self, piece: &[u8]) {
        let (_, text) = piece.split_last().unwrap_or((&0, piece));
        process::write_error(text);
    }
}

/// The tree of names, and what stands beside it.
struct Tree;

/// Room for any value.
#[derive(Clone, Copy)]
struct Raw(u64);

impl Raw {
    fn read(name: &[u8], len: usize) -> Option<Self> {
        let mut raw = Self(0);
        let mut room = len;
        let found = mallctl::by_name(name).ok()?;
        // SAFETY: room for `len` bytes, at most eight.
        let request = unsafe { Request::new((&raw mut raw.0).cast(), &mut room, ptr::null(), 0) };
        let own = thread::current().cache();
        // Rule I1.
        let _passage = Passage::enter(own);
        let (result, _) = mallctl::answer(found, request, own);
        result.ok().map(|()| raw)
    }

    fn text(self) -> &'static [u8] {
        match ptr::with_exposed_provenance::<c_char>(self.0 as usize) {
            text if text.is_null() => b"",
            // SAFETY: texts that keys give stay.
            text => unsafe { CStr::from_ptr(text) }.to_bytes(),
        }
    }
}

impl Source for Tree {
    fn pair(&self, name: &[u8]) -> Option<[u64; 2]> {
        let mut pair = [0; 2];
        let mut room = size_of_val(&pair);
        let found = mallctl::by_name(name).ok()?;
        // SAFETY: room for that many bytes.
        let request = unsafe { Request::new((&raw mut pair).cast(), &mut room, ptr::null(), 0) };
        let own = thread::current().cache();
        // Rule I1.
        let _passage = Passage::enter(own);
        let (result, _) = mallctl::answer(found, request, own);
        result.ok().map(|()| pair)
    }

    fn arena_name(&self, index: usize, text: &mut [u8; ARENA_NAME]) -> usize {
        let name = Name::of("arena.").index(index).then(".name");
        // The key writes where the old value points to.
        let mut place = text.as_mut_ptr();
        let mut room = size_of::<*mut u8>();
        let found = mallctl::by_name(name.as_bytes());
        let answered = found.is_ok_and(|found| {
            // SAFETY: a pointer to as many bytes as an arena's name has.
            let request =
                unsafe { Request::new((&raw mut place).cast(), &mut room, ptr::null(), 0) };
            let own = thread::current().cache();
            let _passage = Passage::enter(own);
            mallctl::answer(found, request, own).0.is_ok()
        });
        if !answered {
            let default = Name::of("auto_").index(index);
            let len = default.as_bytes().len().min(ARENA_NAME);
            text[..len].copy_from_slice(&default.as_bytes()[..len]);
            return len;
        }
        text.iter()
            .position(|&byte| byte == 0)
            .unwrap_or(ARENA_NAME)
    }

    fn value(&self, name: &[u8]) -> Option<Value> {
        if name == b"system.thp_mode" {
            return Some(Value::Text(match memory::huge_policy() {
                HugePolicy::Advised => b"madvise",
                HugePolicy::Always => b"always",
                HugePolicy::Never => b"never",
            }));
        }
        let read = |len| Raw::read(name, len);
        Some(match mallctl::by_name(name).ok()?.kind() {
            Kind::Bool => Value::Switch(read(1)?.0 & 0xff != 0),
            Kind::U32 => Value::Unsigned(read(4)?.0 & u64::from(u32::MAX)),
            Kind::U64 | Kind::Size => Value::Unsigned(read(8)?.0),
            Kind::I64 | Kind::Signed => Value::Signed(read(8)?.0 as i64),
            Kind::Text => Value::Text(read(8)?.text()),
            Kind::Other | Kind::None => return None,
        })
    }
}
