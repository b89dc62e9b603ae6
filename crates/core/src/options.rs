//! Options as plain values; `control::options` reads them from text.
//!
//! The default of each choice comes first: what holds it reads zero until the boot, and needs no memory of its own.
#![deny(unsafe_code)]

/// What `realloc(ptr, 0)` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZeroRealloc {
    /// Frees and returns null.
    Free,
    /// Shrinks to the smallest object.
    Alloc,
    /// Ends the process.
    Abort,
}

/// Whether address space comes from the data segment (sbrk).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dss {
    /// When mmap refuses.
    Secondary,
    /// Before mmap.
    Primary,
    /// Never.
    Disabled,
}

/// Whether a thread of the allocator's own gives idle memory back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackgroundThread {
    /// While there is enough to be worth a thread.
    Auto,
    /// While there is something to give back, however little.
    Always,
    /// Never: only calls into the allocator do.
    Never,
}

/// What is advised about huge pages for the memory of objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thp {
    /// Earned by density and stability.
    Default,
    /// From the start, everywhere.
    Always,
    /// Nowhere.
    Never,
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
    /// `background_thread`.
    pub background_thread: BackgroundThread,
    /// `cgroup`: limits and processors of the container count.
    pub cgroup: bool,
    /// `thp`.
    pub thp: Thp,
    /// `huge_budget`: percent by which huge pages may raise resident memory; 0 for no huge pages.
    pub huge_budget: usize,
    /// `hpa`: huge pages are earned eagerly.
    pub hpa: bool,
    /// `hpa_hugification_threshold` and `hpa_hugification_threshold_ratio`, in bytes of a huge page.
    pub hpa_hugification_threshold: usize,
    /// `hpa_hugify_delay_ms`.
    pub hpa_hugify_delay_ms: usize,
    /// `dss`.
    pub dss: Dss,
    /// `zero_realloc`.
    pub zero_realloc: ZeroRealloc,
    /// `abort_conf`: a bad option ends the process.
    pub abort_conf: bool,
    /// `count`: every operation is counted, at a few nanoseconds each.
    pub count: bool,
    /// `report_dir`: where the process keeps its report; empty for nowhere.
    pub report_dir: &'static [u8],
}

impl Options {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        narenas: 0,
        dirty_decay_ms: 10_000,
        muzzy_decay_ms: 0,
        background_thread: BackgroundThread::Auto,
        cgroup: true,
        thp: Thp::Default,
        huge_budget: 5,
        hpa: false,
        hpa_hugification_threshold: 1_887_437,
        hpa_hugify_delay_ms: 1000,
        dss: Dss::Secondary,
        zero_realloc: ZeroRealloc::Free,
        abort_conf: false,
        count: false,
        report_dir: &[],
    };
}
