//! Names of files: a prefix, the process, numbers.
//!
//! ```text
//! <prefix>.[<namespace>.]<process>.<n>.<letter><m>.heap     n: all profiles; m: those with the letter; exit has none
//! <prefix>.[<namespace>.]<process>.<n>.json                 logs
//! ```
//! Lock: names, rank 0, for the prefix.

use super::Trigger;
use super::inside;
use crate::options::{PATH_MAX, Prof};
use crate::prof::desk::{PATH, PathText};
use crate::sync::Mutex;
use crate::sys::{output, process};
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Where nothing is said.
const DEFAULT: &[u8] = b"jeprof";

struct Prefix {
    bytes: [u8; PATH],
    len: usize,
    /// The text of the option is there.
    is_option_told: bool,
}

static PREFIX: Mutex<Prefix, 0> = Mutex::new(Prefix {
    bytes: [0; PATH],
    len: 0,
    is_option_told: false,
});
static HAS_NAMESPACE: AtomicBool = AtomicBool::new(false);
/// Profiles so far; those by interval, by request and at highs; logs.
static PROFILES: AtomicU64 = AtomicU64::new(0);
static BY_TRIGGER: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static LOGS: AtomicU64 = AtomicU64::new(0);

/// The option's prefix as a C text: written once, under the lock, by who asks first.
struct OptionText(UnsafeCell<[u8; PATH_MAX + 1]>);

// SAFETY: written under the lock, before its address is known to anybody.
unsafe impl Sync for OptionText {}

static OPTION: OptionText = OptionText(UnsafeCell::new([0; PATH_MAX + 1]));

/// Notes what options say.
pub(super) fn prepare(options: &Prof) {
    HAS_NAMESPACE.store(options.pid_namespace, Ordering::Relaxed);
    set_prefix(options.prefix.unwrap_or(DEFAULT));
}

/// `opt.prof_prefix`, which `text` says, as a C text.
pub(crate) fn option_prefix(text: Option<&[u8]>) -> &'static CStr {
    let Some(text) = text else {
        return c"jeprof";
    };
    let mut prefix = PREFIX.lock();
    let place = OPTION.0.get().cast::<u8>();
    if !core::mem::replace(&mut prefix.is_option_told, true) {
        let len = text.len().min(PATH_MAX);
        // SAFETY: room for as many bytes; nobody knows the address yet, and who comes now waits for the lock.
        unsafe { place.copy_from_nonoverlapping(text.as_ptr(), len) };
    }
    // SAFETY: written by now, for good; the last byte stays zero.
    unsafe { CStr::from_ptr(place.cast()) }
}

/// Sets the prefix of names from now on; one that is empty has no profile written that is not given a name.
pub(crate) fn set_prefix(text: &[u8]) {
    let mut prefix = PREFIX.lock();
    let len = text.len().min(PATH - 1);
    if let (Some(to), Some(from)) = (prefix.bytes.get_mut(..len), text.get(..len)) {
        to.copy_from_slice(from);
    }
    prefix.len = len;
}

/// Whether files have names of their own.
pub(super) fn has_prefix() -> bool {
    inside(|| PREFIX.lock().len > 0)
}

fn begin(path: &mut PathText) {
    path.clear();
    inside(|| {
        let prefix = PREFIX.lock();
        path.bytes(prefix.bytes.get(..prefix.len).unwrap_or(&[]));
    });
    if HAS_NAMESPACE.load(Ordering::Relaxed) {
        let namespace = output::process_namespace().unwrap_or(0);
        path.text(".").decimal(namespace);
    }
    path.text(".").decimal(u64::from(process::id()));
}

/// The next profile's name.
pub(super) fn profile(path: &mut PathText, trigger: Trigger) {
    begin(path);
    let number = PROFILES.fetch_add(1, Ordering::Relaxed);
    path.text(".").decimal(number);
    let [interval, request, high] = &BY_TRIGGER;
    let (letter, counter) = match trigger {
        Trigger::Interval => (".i", Some(interval)),
        Trigger::Request | Trigger::Signal => (".m", Some(request)),
        Trigger::NewHigh => (".u", Some(high)),
        Trigger::Exit => (".f", None),
    };
    path.text(letter);
    if let Some(counter) = counter {
        path.decimal(counter.fetch_add(1, Ordering::Relaxed));
    }
    path.text(".heap");
}

/// The next log's name.
pub(super) fn log(path: &mut PathText) {
    begin(path);
    let number = LOGS.fetch_add(1, Ordering::Relaxed);
    path.text(".").decimal(number).text(".json");
}
