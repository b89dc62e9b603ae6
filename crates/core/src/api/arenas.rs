//! Figures and arenas as values: what [`super::mallctl`] has by name.
//!
//! ```
//! # fn main() -> Result<(), jemoxide::mallctl::Error> {
//! let list = vec![0u8; 1 << 20];
//! let stats = jemoxide::stats();
//! assert!(stats.allocated <= stats.active && stats.active <= stats.mapped);
//! drop(list);
//!
//! // An arena of one's own: what it holds can be discarded as a whole.
//! let arena = jemoxide::Arena::new()?;
//! let object = arena.alloc(std::alloc::Layout::new::<[u64; 100]>());
//! assert!(!object.is_null());
//! // SAFETY: nobody uses its objects from now on.
//! unsafe { arena.destroy()? };
//!
//! // Idle memory stays for a second from now on, and what is idle at this moment goes at once.
//! for arena in jemoxide::arenas() {
//!     arena.set_decay(Some(1_000), Some(0))?;
//!     arena.purge()?;
//! }
//! # Ok(())
//! # }
//! ```

use super::alloc::outermost;
use super::flags::Flags;
use super::mallctl::{self, Error, Value};
use super::{alloc_with, dealloc_sized_with};
use crate::control::options::keys::DECAY_MAX;
use crate::ds::text::Line;
use core::alloc::Layout;

/// Bytes by state, of all arenas together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Held by the program, by usable size.
    pub allocated: usize,
    /// Pages that hold those objects, and what caches keep for the next ones.
    pub active: usize,
    /// The allocator's own records.
    pub metadata: usize,
    /// What may be in memory: active and idle pages, and records.
    pub resident: usize,
    /// Address ranges in use, with memory or about to get it.
    pub mapped: usize,
    /// Address ranges that are kept without memory.
    pub retained: usize,
}

/// The figures of this moment. The first of a new epoch: what `mallctl` tells by name is as new then.
pub fn stats() -> Stats {
    // The names are there in every build.
    let of = |name| mallctl::read(name).unwrap_or(0);
    let _ = mallctl::write("epoch", 1u64);
    Stats {
        allocated: of("stats.allocated"),
        active: of("stats.active"),
        metadata: of("stats.metadata"),
        resident: of("stats.resident"),
        mapped: of("stats.mapped"),
        retained: of("stats.retained"),
    }
}

/// An arena: a set of slabs and pages. Automatic ones serve threads, share their pages, and are never gone; those that
/// [`Arena::new`] makes have pages of their own. Behind the feature `allocator-api2` it is an `Allocator`.
///
/// It is a number, not an owner: it may be copied, and an arena stays until it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arena(u32);

/// How long idle pages stay, in milliseconds; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decay {
    /// Until they go, lazily at first if `muzzy_ms` is not 0.
    pub dirty_ms: Option<u64>,
    /// From then until they go for certain.
    pub muzzy_ms: Option<u64>,
}

/// All arenas that there are at this moment.
pub fn arenas() -> impl Iterator<Item = Arena> {
    let count = mallctl::read("arenas.narenas").unwrap_or(0u32);
    (0..count).map(Arena).filter(|arena| arena.is_there())
}

impl Arena {
    /// A new one, with pages of its own. `Exhausted`: there are as many as there may be, or memory is out.
    pub fn new() -> Result<Self, Error> {
        let mut index = 0u32;
        let mut len = size_of::<u32>();
        // SAFETY: a name, and room for its value.
        let code = unsafe {
            let place = (&raw mut index).cast();
            let name = c"arenas.create".as_ptr();
            mallctl::by_name(name, place, &mut len, core::ptr::null(), 0)
        };
        match code {
            0 => Ok(Self(index)),
            libc::EAGAIN => Err(Error::Exhausted),
            _ => Err(Error::Failed),
        }
    }

    /// Discards all of its objects; its pages stay for the next ones. `Failed`: it is an automatic one.
    ///
    /// # Safety
    /// - Nobody uses an object of the arena from now on.
    pub unsafe fn reset(self) -> Result<(), Error> {
        self.call("reset")
    }

    /// Discards all of its objects and the arena; its number may come again. `Failed`: it is an automatic one, or
    /// threads are served by it.
    ///
    /// # Safety
    /// - Nobody uses the arena, or an object of it, from now on.
    pub unsafe fn destroy(self) -> Result<(), Error> {
        self.call("destroy")
    }

    /// An object of the arena, past the caches of threads. Null: out of memory, or there is no such arena.
    #[inline(never)]
    pub fn alloc(self, layout: Layout) -> *mut u8 {
        outermost(|| alloc_with(layout.size(), self.flags(layout.align(), false)))
    }

    /// As [`Arena::alloc`], and the object reads zero.
    #[inline(never)]
    pub fn alloc_zeroed(self, layout: Layout) -> *mut u8 {
        outermost(|| alloc_with(layout.size(), self.flags(layout.align(), true)))
    }

    /// Frees an object of the arena; null is ignored.
    ///
    /// # Safety
    /// - `ptr` came from this arena with this layout, is not free, and nobody uses it from now on.
    pub unsafe fn dealloc(self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { dealloc_sized_with(ptr, layout.size(), self.flags(layout.align(), false)) }
    }

    pub(super) fn flags(self, align: usize, zero: bool) -> Flags {
        Flags {
            align,
            zero,
            uncached: true,
            cache: None,
            arena: Some(self.0),
        }
    }

    /// The one that serves the calling thread.
    pub fn current() -> Self {
        Self(mallctl::read("thread.arena").unwrap_or(0))
    }

    /// Its number, as in `arena.<i>` and `MALLOCX_ARENA(i)`.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Has it serve the calling thread from now on. What the thread holds stays where it is.
    pub fn serve_this_thread(self) -> Result<(), Error> {
        mallctl::write("thread.arena", self.0)
    }

    /// Threads that it serves.
    pub fn threads(self) -> usize {
        let count: u32 = self.read("stats.arenas.", "nthreads").unwrap_or(0);
        count as usize
    }

    /// How long its idle pages stay. Automatic arenas share their idle pages, and so this.
    pub fn decay(self) -> Result<Decay, Error> {
        let of = |key| -> Result<Option<u64>, Error> {
            let ms: isize = self.read("arena.", key)?;
            Ok(u64::try_from(ms).ok())
        };
        Ok(Decay {
            dirty_ms: of("dirty_decay_ms")?,
            muzzy_ms: of("muzzy_decay_ms")?,
        })
    }

    /// Sets how long its idle pages stay, in milliseconds; `None`: for ever.
    pub fn set_decay(self, dirty_ms: Option<u64>, muzzy_ms: Option<u64>) -> Result<(), Error> {
        let of = |ms: Option<u64>| ms.map_or(-1, |ms| ms.min(DECAY_MAX as u64) as isize);
        self.write("dirty_decay_ms", of(dirty_ms))?;
        self.write("muzzy_decay_ms", of(muzzy_ms))
    }

    /// Gives its idle memory to the system, now.
    pub fn purge(self) -> Result<(), Error> {
        self.call("purge")
    }

    /// Gives back what is due by its decay times.
    pub fn give_back_due(self) -> Result<(), Error> {
        self.call("decay")
    }

    fn is_there(self) -> bool {
        self.read("arena.", "initialized").unwrap_or(false)
    }

    /// The name of one of its keys.
    fn name(self, folder: &str, key: &str) -> Line {
        let mut line = Line::new();
        line.text(folder)
            .decimal(self.0 as usize)
            .text(".")
            .text(key);
        line
    }

    fn read<T: Value>(self, folder: &str, key: &str) -> Result<T, Error> {
        mallctl::read(self.name(folder, key).as_str())
    }

    fn write<T: Value>(self, key: &str, value: T) -> Result<(), Error> {
        mallctl::write(self.name("arena.", key).as_str(), value)
    }

    fn call(self, key: &str) -> Result<(), Error> {
        mallctl::call(self.name("arena.", key).as_str())
    }
}
