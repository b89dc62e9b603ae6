//! Heap profiles: which call paths the memory of the process comes from.
//!
//! ```
//! use jemoxide::profile;
//!
//! profile::start();
//! let rows: Vec<Vec<u8>> = (0..1000).map(|_| vec![0; 10_000]).collect();
//! let path = std::env::temp_dir().join(format!("rows.{}.heap", std::process::id()));
//! profile::dump(path.to_str().unwrap())?;
//! profile::stop();
//! # drop(rows);
//! # std::fs::remove_file(path).unwrap();
//! # Ok::<(), profile::Error>(())
//! ```
//!
//! One object is sampled for each 2^[`lg_sample`] bytes that are allocated, on average; what the samples stand for is an
//! unbiased estimate of all. A file has the format `heap_v2` that `jeprof` and `jemoxide report` read. The same is had by
//! the options `prof:true` and its like, and by mallctl's `prof.*`.

use super::slow;
use crate::control::profiling::{self, Job};
use crate::prof;
use crate::sys::output::Errno;
use crate::thread::CacheRef;
use core::fmt;

/// Why a profile could not be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error(Errno);

impl Error {
    /// The system's error number.
    #[must_use]
    pub const fn code(self) -> i32 {
        self.0.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.words() {
            "" => write!(f, "no heap profile: error {}", self.code()),
            words => write!(f, "no heap profile: {words}"),
        }
    }
}

impl core::error::Error for Error {}

/// Samples from now on, in all threads. Starts the profiler, if the process began without it.
pub fn start() {
    slow::enter(|_| {
        profiling::start(true);
        prof::set_active(true);
    });
    profiling::arm();
}

/// As [`start`], where no samples are taken: answers the number of this switch. `None`: samples are taken already.
///
/// For whoever samples for a while on request, in a program that may have other plans: as long as [`switches`] answers the same
/// number, nobody else has had a say, and [`stop`] is in order.
///
/// ```
/// use jemoxide::profile;
///
/// let switch = profile::start_if_off().expect("it was off");
/// assert!(profile::start_if_off().is_none());
/// profile::start();
/// assert_ne!(profile::switches(), switch);
/// # profile::stop();
/// ```
pub fn start_if_off() -> Option<u32> {
    let switch = slow::enter(|_| {
        profiling::start(false);
        match prof::is_sampling() {
            true => None,
            false => prof::switch_on(),
        }
    });
    profiling::arm();
    switch
}

/// How often sampling was switched on or off, by whomever and however, where it was so already, too; wraps around.
#[must_use]
pub fn switches() -> u32 {
    prof::switches()
}

/// Stops sampling, in all threads. What was sampled stays known, and may be dumped.
pub fn stop() {
    if prof::is_started() {
        prof::set_active(false);
    }
}

/// Whether samples are taken.
#[must_use]
pub fn is_active() -> bool {
    prof::is_sampling()
}

/// The mean of the bytes from one sample to the next, as a base-2 logarithm: 19 for 512 KiB; 0 before the start.
#[must_use]
pub fn lg_sample() -> u32 {
    prof::lg_sample()
}

/// Has samples taken at another rate: as a base-2 logarithm of bytes, 0 for every object, 63 at most. What was sampled at the
/// old rate is forgotten.
pub fn set_lg_sample(lg_sample: u32) {
    slow::enter(|_| profiling::start(false));
    let _ = profiling::run(Job::Reset(Some(lg_sample)));
}

/// Forgets all samples.
pub fn reset() {
    if prof::is_started() {
        let _ = profiling::run(Job::Reset(None));
    }
}

/// Writes a profile to the file at `path`, in place of what is there. A process that has never sampled writes one that
/// says so.
pub fn dump(path: &str) -> Result<(), Error> {
    dump_bytes(path.as_bytes())
}

/// As [`dump`], to a path that need not be text.
pub fn dump_bytes(path: &[u8]) -> Result<(), Error> {
    slow::enter(|_| profiling::start(false));
    profiling::dump_to(Some((path, u64::MAX))).map_err(Error)
}

/// As [`dump_bytes`], of at most `most` bytes: a longer profile is given up while it is written, with error `EFBIG`, and what
/// was at `path` stays.
///
/// ```
/// let path = std::env::temp_dir().join(format!("short.{}.heap", std::process::id()));
/// let error = jemoxide::profile::dump_within(path.to_str().unwrap().as_bytes(), 10).unwrap_err();
/// assert_eq!(error.code(), 27);
/// assert!(!path.exists());
/// ```
pub fn dump_within(path: &[u8], most: u64) -> Result<(), Error> {
    slow::enter(|_| profiling::start(false));
    profiling::dump_to(Some((path, most))).map_err(Error)
}

/// Writes a profile to a file with a name of its own: the option `prof_prefix`, the process, numbers.
pub fn dump_numbered() -> Result<(), Error> {
    slow::enter(|_| profiling::start(false));
    profiling::dump_to(None).map_err(Error)
}

/// Marks what the calling thread allocates from now on with `tag`: a request, a tenant, a kind of task; 0 for none.
/// Answers the tag before. Profiles with details, by the option `prof_details`, count by tags.
///
/// ```
/// jemoxide::profile::start();
/// let before = jemoxide::profile::set_tag(7);
/// // What is allocated here is counted as of 7.
/// jemoxide::profile::set_tag(before);
/// # jemoxide::profile::stop();
/// ```
pub fn set_tag(tag: u16) -> u16 {
    slow::enter(|cache| {
        let thread = cache.filter(|_| prof::is_started());
        let thread = thread.and_then(CacheRef::profiled);
        thread.map_or(0, |thread| {
            let before = thread.tag();
            thread.set_tag(tag);
            before
        })
    })
}

/// Begins the next generation of objects, and answers its number: a profile with details tells how many were allocated
/// before, and are still alive.
pub fn next_generation() -> u32 {
    if !prof::is_started() {
        return 0;
    }
    slow::enter(|_| prof::raise_object_generation())
}

/// Samples that were not recorded, as there was no memory for it.
#[must_use]
pub fn dropped() -> u64 {
    if !prof::is_started() {
        return 0;
    }
    slow::enter(|_| prof::dropped())
}
