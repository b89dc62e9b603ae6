//! Doors: by which family of functions an object comes and goes, and what a call says of it.

use core::sync::atomic::{AtomicBool, Ordering};

/// A family of functions whose objects go back by the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Door {
    /// `malloc` and its kin, `mallocx` and its kin.
    Malloc = 0,
    /// `operator new`.
    New = 1,
    /// `operator new[]`.
    NewArray = 2,
    /// `operator new` with an alignment.
    NewAligned = 3,
    /// `operator new[]` with an alignment.
    NewArrayAligned = 4,
    /// Rust's `GlobalAlloc` and `Allocator`.
    Rust = 5,
}

impl Door {
    const ALL: [Self; 6] = [
        Self::Malloc,
        Self::New,
        Self::NewArray,
        Self::NewAligned,
        Self::NewArrayAligned,
        Self::Rust,
    ];

    /// The door with that number.
    pub(super) fn from_number(number: u32) -> Self {
        let known = Self::ALL.into_iter().find(|&door| door as u32 == number);
        known.unwrap_or(Self::Malloc)
    }

    /// What allocates there.
    pub(super) const fn maker(self) -> &'static str {
        match self {
            Self::Malloc => "malloc",
            Self::New => "new",
            Self::NewArray => "new[]",
            Self::NewAligned => "aligned new",
            Self::NewArrayAligned => "aligned new[]",
            Self::Rust => "Rust",
        }
    }
}

/// The families are not told apart.
static ALIKE: AtomicBool = AtomicBool::new(false);

/// Has no free refused for its door alone. Called once, by the boot.
pub(crate) fn treat_doors_alike() {
    ALIKE.store(true, Ordering::Relaxed);
}

/// What an allocation asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// Bytes, any number.
    pub(crate) bytes: usize,
    /// A power of two.
    pub(crate) align: usize,
    pub(crate) door: Door,
    /// The index of the arena that it is asked of.
    pub(super) arena: usize,
    /// The stack it is asked for on; 0: not known.
    pub(super) trace: u16,
}

impl Ask {
    /// `bytes` by `malloc`.
    #[inline]
    pub(crate) const fn plain(bytes: usize) -> Self {
        Self::new(bytes, 1, Door::Malloc)
    }

    /// `bytes` at `align`, a power of two, by `door`; of the first arena.
    #[inline]
    pub(crate) const fn new(bytes: usize, align: usize, door: Door) -> Self {
        let (arena, trace) = (0, 0);
        Self {
            bytes,
            align,
            door,
            arena,
            trace,
        }
    }

    /// The same of the arena with index `arena`.
    pub(crate) const fn of_arena(self, arena: usize) -> Self {
        Self { arena, ..self }
    }
}

/// What a free says of its object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) door: Door,
    pub(crate) size: Size,
    /// A power of two; 1 where nothing is said.
    pub(crate) align: usize,
    /// The stack it is freed on; 0: not known.
    pub(super) trace: u16,
}

/// What a free says of its object's size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// Nothing.
    Untold,
    /// What was asked for.
    Exact(usize),
    /// What was asked for, or what that rounds to.
    Rounded(usize),
}

impl Told {
    /// A free that says nothing but its door.
    pub(crate) const fn of(door: Door) -> Self {
        Self::new(door, Size::Untold, 1)
    }

    /// A free by `door` that says so much of the size, and the alignment, a power of two.
    pub(crate) const fn new(door: Door, size: Size, align: usize) -> Self {
        let trace = 0;
        Self {
            door,
            size,
            align,
            trace,
        }
    }

    /// Whether an object that came by `made` is not to go by this door.
    #[inline]
    pub(super) fn is_wrong_door(&self, made: Door) -> bool {
        self.door != made && !ALIKE.load(Ordering::Relaxed)
    }

    /// Whether an object asked for with `bytes` at `1 << lg_align` may be meant.
    #[inline]
    pub(super) fn fits(&self, bytes: usize, lg_align: u32) -> bool {
        self.size == Size::Untold && self.align == 1 || self.fits_what_is_told(bytes, lg_align)
    }

    fn fits_what_is_told(&self, bytes: usize, lg_align: u32) -> bool {
        // Up to what a request for that much at that alignment is rounded to.
        let rounded = |told: usize| {
            let aligned = crate::size::aligned_size(bytes, 1 << lg_align);
            let most = aligned.max(crate::size::usable_size(bytes));
            told >= bytes && most.is_some_and(|most| told <= most)
        };
        let size = match self.size {
            Size::Untold => true,
            // Nothing is asked for as one byte by those who must not ask for nothing.
            Size::Exact(told) => told == bytes || told.max(1) == bytes.max(1),
            Size::Rounded(told) => rounded(told) || told.max(1) == bytes.max(1),
        };
        let align = match self.align {
            // Who says the size exactly would have said an alignment beyond any object's.
            1 => !matches!(self.size, Size::Exact(_)) || lg_align <= 4,
            // Alignments up to that of any object may have been left out.
            2..=16 => lg_align <= 4,
            told => told == 1 << lg_align,
        };
        size && align
    }
}
