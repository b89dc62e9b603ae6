//! Options as plain values; `control::options` reads them from text.
#![deny(unsafe_code)]

/// What `realloc(ptr, 0)` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZeroRealloc {
    /// Shrinks to the smallest object.
    Alloc,
    /// Frees and returns null.
    Free,
    /// Ends the process.
    Abort,
}

/// Whether address space comes from the data segment (sbrk).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dss {
    /// Never.
    Disabled,
    /// Before mmap.
    Primary,
    /// When mmap refuses.
    Secondary,
}

/// Longest path that `report_dir` takes.
pub const PATH_MAX: usize = 200;

/// All settings.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `narenas`: automatic arenas; 0 chooses one for every eight usable processors.
    pub narenas: usize,
    /// `dirty_decay_ms`: -1 never, 0 at once.
    pub dirty_decay_ms: isize,
    /// `muzzy_decay_ms`: -1 never, 0 at once.
    pub muzzy_decay_ms: isize,
    /// `dss`.
    pub dss: Dss,
    /// `zero_realloc`.
    pub zero_realloc: ZeroRealloc,
    /// `abort_conf`: a bad option ends the process.
    pub abort_conf: bool,
    /// `count`: every operation is counted, at a few nanoseconds each.
    pub count: bool,
    /// `report_dir`: where the process keeps its report; empty for nowhere.
    pub report_dir: [u8; PATH_MAX],
    /// Bytes of `report_dir` in use.
    pub report_dir_len: usize,
}

impl Options {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        narenas: 0,
        dirty_decay_ms: 10_000,
        muzzy_decay_ms: 0,
        dss: Dss::Secondary,
        zero_realloc: ZeroRealloc::Free,
        abort_conf: false,
        count: false,
        report_dir: [0; PATH_MAX],
        report_dir_len: 0,
    };

    /// The directory of the report, if one is wanted.
    pub fn report_dir(&self) -> Option<&[u8]> {
        let dir = self.report_dir.get(..self.report_dir_len)?;
        if dir.is_empty() { None } else { Some(dir) }
    }
}
