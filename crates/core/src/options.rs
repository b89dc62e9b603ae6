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

/// A documented bundle of options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// Each option for itself.
    None,
    /// Long-lived services.
    Server,
    /// Programs that a person looks at.
    Desktop,
    /// Under a limit of memory.
    Container,
    /// As little memory as possible, at the price of time.
    LowMemory,
    /// As little time as possible, at the price of memory.
    Throughput,
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

/// What is advised about huge pages for the allocator's own records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetadataThp {
    /// Nothing.
    Disabled,
    /// Once there are many records.
    Auto,
    /// From the start.
    Always,
}

/// Who decides on huge pages under `hpa`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HugifyStyle {
    /// The allocator, late.
    Lazy,
    /// As the system is set.
    Auto,
    /// The system alone.
    None,
    /// The allocator, at once.
    Eager,
}

/// What new and freed memory is filled with, so that its misuse shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Junk {
    /// Nothing.
    Never,
    /// New memory with 0xa5, freed memory with 0x5a.
    Always,
    /// New memory only.
    Alloc,
    /// Freed memory only.
    Free,
}

/// How much is done against misuse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hardening {
    /// What slow paths can see of wrong pointers and sizes.
    Off,
    /// The same; objects of no bytes cannot be touched, and large objects have fences.
    Standard,
    /// Every allocation is served by the hardened arena.
    Strong,
    /// The same, with more pages and more time.
    Paranoid,
}

/// Whether threads are bound to arenas by the processor they run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PercpuArena {
    /// They are not.
    Disabled,
    /// An arena for each processor.
    Percpu,
    /// An arena for each core.
    Phycpu,
}

/// How fine the time stamps of heap profiles are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProfTimeResolution {
    /// As fine as the system's coarse clock.
    Default,
    /// As fine as the system's clock.
    High,
}

/// A number with 16 binary places; negative for "never".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fixed(pub i64);

impl Fixed {
    /// Stands for one.
    pub const ONE: i64 = 1 << Self::LG_ONE;
    /// Binary places.
    pub const LG_ONE: u32 = 16;
    /// Never.
    pub const NEVER: Self = Self(-Self::ONE);
}

/// Letters that say what `malloc_stats_print` prints, each once, in the order in which they were said; a C text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatsLetters([u8; 11]);

impl StatsLetters {
    /// Those with a meaning: JSON, and the parts that are left out.
    pub const KNOWN: &'static [u8] = b"Jgmdablxeh";
    /// None: everything is printed, as text.
    pub const NONE: Self = Self([0; 11]);

    /// Adds those of `text`; others, and those that are there, are ignored.
    pub fn add(&mut self, text: &[u8]) {
        for letter in text {
            let len = self.as_bytes().len();
            if Self::KNOWN.contains(letter) && !self.as_bytes().contains(letter) {
                self.0[len] = *letter;
            }
        }
    }

    /// The letters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let (letters, _) = self.0.split_at(self.len());
        letters
    }

    /// The letters as a C text.
    #[must_use]
    pub fn as_c_str(&self) -> &core::ffi::CStr {
        core::ffi::CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }

    fn len(&self) -> usize {
        let ends = self.0.iter().position(|&byte| byte == 0);
        ends.unwrap_or(self.0.len() - 1)
    }
}

/// Longest path, and other text, that an option takes.
pub const PATH_MAX: usize = 200;

/// The options of heap profiling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prof {
    /// `prof`.
    pub is_on: bool,
    /// `prof_accum`.
    pub accum: bool,
    /// `prof_active`.
    pub active: bool,
    /// `prof_bt_max`: frames.
    pub bt_max: usize,
    /// `prof_final`.
    pub at_exit: bool,
    /// `prof_gdump`.
    pub gdump: bool,
    /// `prof_leak`.
    pub leak: bool,
    /// `prof_leak_error`.
    pub leak_error: bool,
    /// `prof_log`.
    pub log: bool,
    /// `prof_pid_namespace`.
    pub pid_namespace: bool,
    /// `prof_prefix`; `None` for the default, `jeprof`.
    pub prefix: Option<&'static [u8]>,
    /// `prof_recent_alloc_max`.
    pub recent_alloc_max: isize,
    /// `prof_stats`.
    pub stats: bool,
    /// `prof_sys_thread_name`.
    pub sys_thread_name: bool,
    /// `prof_thread_active_init`.
    pub thread_active_init: bool,
    /// `prof_time_resolution`.
    pub time_resolution: ProfTimeResolution,
    /// `prof_unbias`.
    pub unbias: bool,
    /// `lg_prof_interval`.
    pub lg_interval: isize,
    /// `lg_prof_sample`.
    pub lg_sample: usize,
    /// `prof_details`: dumps have our own section too.
    pub details: bool,
    /// `prof_seed`: where random sequences begin; 0 for anywhere.
    pub seed: usize,
    /// `prof_signal`: the signal that switches sampling; 0 for none.
    pub signal: usize,
}

/// All settings. A line of each key's meaning is in `control::options::keys`, what it does for a user in docs/COMPAT.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// `preset`: the bundle taken last.
    pub preset: Preset,
    /// `narenas`: automatic arenas; 0 chooses one for every eight usable processors.
    pub narenas: usize,
    /// `background_thread`.
    pub background_thread: BackgroundThread,
    /// `max_background_threads`.
    pub max_background_threads: usize,
    /// `dirty_decay_ms`: -1 never, 0 at once.
    pub dirty_decay_ms: isize,
    /// `muzzy_decay_ms`: -1 never, 0 at once.
    pub muzzy_decay_ms: isize,
    /// `decay_adaptive`: refaults lengthen decay, idleness shortens it.
    pub decay_adaptive: bool,
    /// `dirty_max`: bytes that may idle whatever the share says.
    pub dirty_max: usize,
    /// `dirty_share`: percent of the active memory, as it was at most lately, that may idle.
    pub dirty_share: usize,
    /// `cache_max`: bytes that the depot may keep at least; 0 for none.
    pub cache_max: usize,
    /// `cgroup`: limits and processors of the container count.
    pub cgroup: bool,
    /// `heap_limit_soft`: bytes, 0 for none.
    pub heap_limit_soft: usize,
    /// `heap_limit_hard`: bytes, 0 for none.
    pub heap_limit_hard: usize,
    /// `thp`.
    pub thp: Thp,
    /// `metadata_thp`.
    pub metadata_thp: MetadataThp,
    /// `huge_budget`: percent by which huge pages may raise resident memory; 0 for no huge pages.
    pub huge_budget: usize,
    /// `hpa`: huge pages are earned eagerly.
    pub hpa: bool,
    /// `hpa_slab_max_alloc`, in bytes.
    pub hpa_slab_max_alloc: usize,
    /// `hpa_hugification_threshold` and `hpa_hugification_threshold_ratio`, in bytes of a huge page.
    pub hpa_hugification_threshold: usize,
    /// `hpa_hugify_delay_ms`.
    pub hpa_hugify_delay_ms: usize,
    /// `hpa_hugify_sync`.
    pub hpa_hugify_sync: bool,
    /// `hpa_hugify_style`.
    pub hpa_hugify_style: HugifyStyle,
    /// `hpa_dirty_mult`: dirty pages for each active one.
    pub hpa_dirty_mult: Fixed,
    /// `hpa_min_purge_interval_ms`.
    pub hpa_min_purge_interval_ms: usize,
    /// `hpa_min_purge_delay_ms`.
    pub hpa_min_purge_delay_ms: usize,
    /// `hpa_purge_threshold` and `hpa_purge_threshold_ratio`, in bytes of a huge page.
    pub hpa_purge_threshold: usize,
    /// `hpa_sec_nshards`.
    pub hpa_sec_nshards: usize,
    /// `hpa_sec_max_alloc`, in bytes.
    pub hpa_sec_max_alloc: usize,
    /// `hpa_sec_max_bytes`.
    pub hpa_sec_max_bytes: usize,
    /// `hpa_sec_batch_fill_extra`.
    pub hpa_sec_batch_fill_extra: usize,
    /// `hpa_sec_bytes_after_flush`.
    pub hpa_sec_bytes_after_flush: usize,
    /// `experimental_hpa_max_purge_nhp`: huge pages in a round of purging; -1 for any number.
    pub experimental_hpa_max_purge_nhp: isize,
    /// `experimental_hpa_enforce_hugify`.
    pub experimental_hpa_enforce_hugify: bool,
    /// `experimental_hpa_start_huge_if_thp_always`.
    pub experimental_hpa_start_huge_if_thp_always: bool,
    /// `huge_arena_pac_thp`.
    pub huge_arena_pac_thp: bool,
    /// `retain`.
    pub retain: bool,
    /// `oversize_threshold`, in bytes.
    pub oversize_threshold: usize,
    /// `trust_madvise`: no trial whether purged pages read zero.
    pub trust_madvise: bool,
    /// `process_madvise_max_batch`.
    pub process_madvise_max_batch: usize,
    /// `dss`.
    pub dss: Dss,
    /// `zero_realloc`.
    pub zero_realloc: ZeroRealloc,
    /// `abort_conf`: a bad option ends the process.
    pub abort_conf: bool,
    /// `confirm_conf`: each source and each option taken is told.
    pub confirm_conf: bool,
    /// `count`: the report tells how many operations there were.
    pub count: bool,
    /// `stats_print`: statistics are printed at exit.
    pub stats_print: bool,
    /// `stats_print_opts`: which.
    pub stats_print_opts: StatsLetters,
    /// `stats_interval`: bytes allocated from one print of statistics to the next; -1 for none.
    pub stats_interval: isize,
    /// `stats_interval_opts`: which.
    pub stats_interval_opts: StatsLetters,
    /// `report_dir`: where the process keeps its report; empty for nowhere.
    pub report_dir: &'static [u8],
    /// `control`: where the process opens its live channel, as this and its number; empty for nowhere. A relative path is one
    /// of the folder where the process starts.
    pub control: &'static [u8],
    /// `control_signal`: the signal that opens it instead of the start; 0 for none.
    pub control_signal: usize,
    /// `abort`: what would be a warning ends the process.
    pub abort: bool,
    /// `xmalloc`: a request that fails ends the process.
    pub xmalloc: bool,
    /// `junk`.
    pub junk: Junk,
    /// `zero`: new memory reads zero.
    pub zero: bool,
    /// `hardening`.
    pub hardening: Hardening,
    /// `quarantine`: bytes of freed objects that wait, from `hardening:strong` on.
    pub quarantine: usize,
    /// `hardening_stacks`: frames of the stacks that messages name, from `hardening:strong` on; -1: 8 at `paranoid`, else none.
    pub hardening_stacks: isize,
    /// `hardening_families`: `malloc`, `new` and `new[]` each go with their own functions that free.
    pub hardening_families: bool,
    /// `guarded_sampling`: one in so many slow allocations lies between guards; 0: none.
    pub guarded_sampling: usize,
    /// `experimental_infallible_new`: C++ `new` that fails ends the process.
    pub experimental_infallible_new: bool,
    /// `disable_large_size_classes`: requests above 32 KiB round to pages, not to classes.
    pub disable_large_size_classes: bool,
    /// `calloc_madvise_threshold`: bytes from which zeroed memory is had from the system; by default more than any object
    /// has.
    pub calloc_madvise_threshold: usize,
    /// `mutex_max_spin`: looks at a lock before sleeping; -1 for any number.
    pub mutex_max_spin: isize,
    /// `narenas_ratio`: arenas for each processor.
    pub narenas_ratio: Fixed,
    /// `percpu_arena`.
    pub percpu_arena: PercpuArena,
    /// `cache_oblivious`: large objects start anywhere in their first page.
    pub cache_oblivious: bool,
    /// `tcache`: threads have a cache.
    pub tcache: bool,
    /// `tcache_max` and `lg_tcache_max`: largest size that is cached, in bytes.
    pub tcache_max: usize,
    /// `tcache_ncached_max`: cached objects, by sizes.
    pub tcache_ncached_max: &'static [u8],
    /// `tcache_nslots_small_min`: cached objects of a small class, at least.
    pub tcache_nslots_small_min: usize,
    /// `tcache_nslots_small_max`: at most.
    pub tcache_nslots_small_max: usize,
    /// `tcache_nslots_large`: cached objects of a large class.
    pub tcache_nslots_large: usize,
    /// `lg_tcache_nslots_mul`: cached objects for each slot of a slab, as a power of two.
    pub lg_tcache_nslots_mul: isize,
    /// `tcache_gc_incr_bytes`: traffic from one look at a class to the next.
    pub tcache_gc_incr_bytes: usize,
    /// `tcache_gc_delay_bytes`.
    pub tcache_gc_delay_bytes: usize,
    /// `lg_tcache_flush_small_div`: the part of a small class with a bound that goes when it is full, as a power of two.
    pub lg_tcache_flush_small_div: usize,
    /// `lg_tcache_flush_large_div`: the same of a large class.
    pub lg_tcache_flush_large_div: usize,
    /// `experimental_tcache_gc`.
    pub experimental_tcache_gc: bool,
    /// `bin_shards`: locks for each small class, by sizes.
    pub bin_shards: &'static [u8],
    /// `slab_sizes`: pages of slabs, by sizes; empty for the default.
    pub slab_sizes: &'static [u8],
    /// `lg_extent_max_active_fit`.
    pub lg_extent_max_active_fit: usize,
    /// `debug_double_free_max_scan`.
    pub debug_double_free_max_scan: usize,
    /// `lg_san_uaf_align`.
    pub lg_san_uaf_align: isize,
    /// `san_guard_small`.
    pub san_guard_small: usize,
    /// `san_guard_large`.
    pub san_guard_large: usize,
    /// `utrace`.
    pub utrace: bool,
    /// `log`: what is logged.
    pub log: &'static [u8],
    /// The options of heap profiling.
    pub prof: Prof,
}

impl Options {
    /// One for every eight processors.
    pub const DEFAULT_RATIO: Fixed = Fixed(Fixed::ONE / 8);

    /// What holds where nothing is said. No text but empty ones: an address would be written by the loader at the start of
    /// every process.
    pub const DEFAULT: Self = Self {
        preset: Preset::None,
        narenas: 0,
        background_thread: BackgroundThread::Auto,
        max_background_threads: 4,
        dirty_decay_ms: 10_000,
        muzzy_decay_ms: 0,
        decay_adaptive: true,
        dirty_max: 16 << 20,
        dirty_share: 50,
        cache_max: 4 << 20,
        cgroup: true,
        heap_limit_soft: 0,
        heap_limit_hard: 0,
        thp: Thp::Default,
        metadata_thp: MetadataThp::Disabled,
        huge_budget: 5,
        hpa: false,
        hpa_slab_max_alloc: 64 << 10,
        hpa_hugification_threshold: 1_887_437,
        hpa_hugify_delay_ms: 1000,
        hpa_hugify_sync: false,
        hpa_hugify_style: HugifyStyle::Lazy,
        hpa_dirty_mult: Fixed(Fixed::ONE / 4),
        hpa_min_purge_interval_ms: 5000,
        hpa_min_purge_delay_ms: 0,
        hpa_purge_threshold: 4096,
        hpa_sec_nshards: 2,
        hpa_sec_max_alloc: 32 << 10,
        hpa_sec_max_bytes: 256 << 10,
        hpa_sec_batch_fill_extra: 3,
        hpa_sec_bytes_after_flush: 128 << 10,
        experimental_hpa_max_purge_nhp: -1,
        experimental_hpa_enforce_hugify: false,
        experimental_hpa_start_huge_if_thp_always: true,
        huge_arena_pac_thp: false,
        retain: true,
        oversize_threshold: 8 << 20,
        trust_madvise: false,
        process_madvise_max_batch: 0,
        dss: Dss::Secondary,
        zero_realloc: ZeroRealloc::Free,
        abort_conf: false,
        confirm_conf: false,
        count: false,
        stats_print: false,
        stats_print_opts: StatsLetters::NONE,
        stats_interval: -1,
        stats_interval_opts: StatsLetters::NONE,
        report_dir: &[],
        control: b"",
        control_signal: 0,
        abort: false,
        xmalloc: false,
        junk: Junk::Never,
        zero: false,
        hardening: Hardening::Standard,
        quarantine: 4 << 20,
        hardening_stacks: -1,
        hardening_families: true,
        guarded_sampling: 0,
        experimental_infallible_new: false,
        disable_large_size_classes: true,
        calloc_madvise_threshold: 7 << 60,
        mutex_max_spin: 100,
        narenas_ratio: Self::DEFAULT_RATIO,
        percpu_arena: PercpuArena::Disabled,
        cache_oblivious: false,
        tcache: true,
        tcache_max: 32 << 10,
        tcache_ncached_max: &[],
        tcache_nslots_small_min: 20,
        tcache_nslots_small_max: 200,
        tcache_nslots_large: 20,
        lg_tcache_nslots_mul: 1,
        tcache_gc_incr_bytes: 64 << 10,
        tcache_gc_delay_bytes: 0,
        lg_tcache_flush_small_div: 1,
        lg_tcache_flush_large_div: 1,
        experimental_tcache_gc: true,
        bin_shards: &[],
        slab_sizes: &[],
        lg_extent_max_active_fit: 6,
        debug_double_free_max_scan: 0,
        lg_san_uaf_align: -1,
        san_guard_small: 0,
        san_guard_large: 0,
        utrace: false,
        log: &[],
        prof: Prof {
            is_on: false,
            accum: false,
            active: true,
            bt_max: 128,
            at_exit: false,
            gdump: false,
            leak: false,
            leak_error: false,
            log: false,
            pid_namespace: false,
            prefix: None,
            recent_alloc_max: 0,
            stats: false,
            sys_thread_name: false,
            thread_active_init: true,
            time_resolution: ProfTimeResolution::Default,
            unbias: true,
            lg_interval: -1,
            lg_sample: 19,
            details: false,
            seed: 0,
            signal: 0,
        },
    };
}
