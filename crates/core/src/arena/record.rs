//! Records: what the page map names for a page.
//!
//! Every record starts with its kind, so that a pointer from anywhere leads to one byte that tells what
//! it may be. Records keep the kind [`Kind::Free`] while nobody owns them.

use core::sync::atomic::{AtomicU8, Ordering};

/// What a record describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Nothing.
    Free = 0,
    /// A slab of small objects.
    Slab = 1,
    /// A large object in use.
    Large = 2,
    /// A large object that was freed and waits in the run cache.
    Idle = 3,
    /// A slab of an arena made by request.
    ManualSlab = 4,
    /// A large object of an arena made by request.
    ManualLarge = 5,
    /// Pages of an arena made by request that hold no object, or that are on their way.
    ManualPages = 6,
    /// A slab of the hardened arena.
    HardSlab = 7,
    /// An object of the hardened arena with pages of its own.
    HardLarge = 8,
    /// A slab of sampled small objects.
    SampledSlab = 9,
    /// A large object in use that is sampled.
    SampledLarge = 10,
}

/// The first byte of every record.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct KindCell(AtomicU8);

impl KindCell {
    /// The kind now.
    #[inline]
    pub(crate) fn get(&self) -> Kind {
        match self.0.load(Ordering::Relaxed) {
            1 => Kind::Slab,
            2 => Kind::Large,
            3 => Kind::Idle,
            4 => Kind::ManualSlab,
            5 => Kind::ManualLarge,
            6 => Kind::ManualPages,
            7 => Kind::HardSlab,
            8 => Kind::HardLarge,
            9 => Kind::SampledSlab,
            10 => Kind::SampledLarge,
            _ => Kind::Free,
        }
    }

    /// Sets the kind.
    pub(crate) fn set(&self, kind: Kind) {
        self.0.store(kind as u8, Ordering::Relaxed);
    }

    /// Changes the kind if it is `from`; of several callers one wins.
    #[inline]
    pub(crate) fn change(&self, from: Kind, to: Kind) -> bool {
        // Acquire and Release: whoever takes an idle object sees it as it was left.
        self.0
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}
