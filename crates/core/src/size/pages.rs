//! Pages: the unit in which address space is managed.
//!
//! Our page is 4 KiB whatever the system's is; only purging and committing look at the system's page,
//! so one build serves every kernel.

/// Base-2 logarithm of [`PAGE`].
pub const LG_PAGE: u32 = 12;
/// Bytes of a page: the grain of the page map and of large sizes.
pub const PAGE: usize = 1 << LG_PAGE;
/// Base-2 logarithm of [`HUGE`].
pub const LG_HUGE: u32 = 21;
/// Bytes that one descriptor of the page heap covers: a huge page of the common processors.
pub const HUGE: usize = 1 << LG_HUGE;
/// Pages in a huge page.
pub const HUGE_PAGES: usize = HUGE / PAGE;

/// A number of pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(transparent)]
pub struct Pages(pub usize);

impl Pages {
    /// The pages that hold `bytes`, rounded up. `bytes` at most `usize::MAX - PAGE`.
    pub const fn holding(bytes: usize) -> Self {
        Self(bytes.div_ceil(PAGE))
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        self.0 << LG_PAGE
    }
}
