//! The keys: a row each.
//!
//! ```text
//! key: Kind(field of Options, numbers it takes) "what it is about" without "why it has no effect", "what it has then"
//!                                                                  beyond Reach "why larger numbers have no more effect"
//! ```
//! K1  A key that has no effect here says why, and a value that asks for one gets a line that tells. So does a number
//!     that is larger than what can be done.
//! K2  What would be an address is not in the rows: the loader writes each address at the start of every process. The
//!     places stand in a table of their own, made of the same rows.
#![deny(unsafe_code)]

use super::label::Label;
use super::slot::{Slot, cut_to, signed_cut_to, within};
use crate::arena::ARENAS_MAX;
use crate::options::Options;

/// One key.
pub(crate) struct Key {
    name: Label<41>,
    /// What it is about, in a line.
    pub(super) meaning: Label<60>,
    /// How far its values have effect.
    pub(super) reach: Reach,
    /// Why they have none, or no more; empty where all have.
    pub(super) unheard: Label<48>,
    /// A value besides the default that describes what is done anyway; empty for none.
    pub(super) fits_too: Label<6>,
}

/// How far the values of a key have effect (K1).
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// All have.
    Whole,
    /// None has.
    Nowhere,
    /// Numbers up to this one have.
    UpTo(u16),
    /// Numbers of objects have that a thread caches of a class anyway.
    Cached,
}

/// Largest request, and so the largest number of bytes that means anything.
const BYTES_MAX: u64 = 8_070_450_532_247_928_832;
/// The longest decay time: whole seconds in 2^64 nanoseconds, as milliseconds.
pub(crate) const DECAY_MAX: i64 = 18_446_744_072_000;
const HUGE: u64 = 2 << 20;
const ANY: u64 = u64::MAX;
/// Frames of a stack that are told apart.
const STACK_MAX: u16 = 256;

/// Keys of which the beginning is enough, in the order in which they are tried. Source: jemalloc's parser.
const COMPLETED: &str = "metadata_thp|dss|percpu_arena|hpa_hugify_style";

/// Whether `value` is a decay time.
pub(crate) fn is_decay_ms(value: i64) -> bool {
    (-1..=DECAY_MAX).contains(&value)
}

/// The reach of a key that has no effect for the reason `why`, if there is one, or only as far as `said`.
const fn reach(why: &str, said: &[Reach]) -> Reach {
    match (why.is_empty(), said) {
        (false, _) => Reach::Nowhere,
        (true, [reach, ..]) => *reach,
        (true, []) => Reach::Whole,
    }
}

macro_rules! rows {
    ($($key:ident: $kind:ident($($field:ident).+ $(, $range:expr)?) $meaning:literal
       $(without $why:literal $(, $fits:literal)?)? $(beyond $reach:expr, $less:literal)?;)*) => {
        /// All keys, in the order in which they are explained.
        pub(crate) static KEYS: [Key; PLACES.len()] = [$(Key {
            name: Label::new(stringify!($key)),
            meaning: Label::new($meaning),
            reach: reach(concat!($($why)?), &[$($reach)?]),
            unheard: Label::new(concat!($($why)? $($less)?)),
            fits_too: Label::new(concat!($($($fits)?)?)),
        }),*];

        /// The places, in the same order (K2).
        static PLACES: [fn(&mut Options) -> Slot<'_>; [$(stringify!($key)),*].len()] =
            [$(|options| Slot::$kind(&mut options.$($field).+ $(, $range)?)),*];
    };
}

rows! {
    preset: Preset(preset) "a bundle of options; what comes later overrides it";
    dirty_decay_ms: Decay(dirty_decay_ms, within(-1, DECAY_MAX)) "time in which idle memory goes back to the system";
    muzzy_decay_ms: Decay(muzzy_decay_ms, within(-1, DECAY_MAX)) "time between giving back lazily and for certain";
    decay_adaptive: Switch(decay_adaptive) "faults on reuse lengthen that time, silence shortens it";
    dirty_max: Bytes(dirty_max, within(0, BYTES_MAX)) "idle memory that may stay whatever the share";
    dirty_share: Percent(dirty_share, within(0, 1000)) "idle memory that may stay, in percent of the used";
    cache_max: Bytes(cache_max, within(0, BYTES_MAX)) "freed objects kept for all threads, at least; 0: none";
    background_thread: Background(background_thread) "a thread gives memory back while the program is idle";
    max_background_threads: Number(max_background_threads, cut_to(1, 4096)) "most such threads"
        without "one thread gives memory back for all", "1";
    cgroup: Switch(cgroup) "processors and memory limit of the container count";
    heap_limit_soft: Bytes(heap_limit_soft, within(0, BYTES_MAX)) "above it memory goes back at once; 0: none";
    heap_limit_hard: Bytes(heap_limit_hard, within(0, BYTES_MAX)) "above it allocations fail; 0: none";
    narenas: Arenas(narenas) "arenas; by default one for every 8 processors"
        beyond Reach::UpTo(ARENAS_MAX as u16), "there are 32 of them at most";
    thp: Thp(thp) "huge pages for objects: earned, everywhere, nowhere";
    huge_budget: Percent(huge_budget, within(0, 100)) "percent that huge pages may add to memory; 0: no huge pages";
    metadata_thp: MetadataThp(metadata_thp) "huge pages for the allocator's own records";
    hpa: Switch(hpa) "huge pages are earned eagerly, also in small processes";
    hpa_hugification_threshold: Bytes(hpa_hugification_threshold, cut_to(4096, HUGE)) "used bytes of 2 MiB that earn a huge page";
    hpa_hugification_threshold_ratio: Ratio(hpa_hugification_threshold) "the same as a share of 2 MiB";
    hpa_hugify_delay_ms: Number(hpa_hugify_delay_ms, within(0, ANY)) "how long memory must stay used to become huge";
    hpa_hugify_sync: Switch(hpa_hugify_sync) "huge pages are made in one call"
        without "they are, where the system can", "true";
    hpa_hugify_style: HugifyStyle(hpa_hugify_style) "who decides on huge pages"
        without "thp and huge_budget decide";
    hpa_dirty_mult: Fraction(hpa_dirty_mult) "idle pages for each used page under hpa"
        without "dirty_share bounds idle pages";
    hpa_min_purge_interval_ms: Number(hpa_min_purge_interval_ms, within(0, ANY)) "time between rounds of purging under hpa"
        without "decay times govern all pages";
    hpa_min_purge_delay_ms: Number(hpa_min_purge_delay_ms, within(0, ANY)) "time before idle pages may be purged under hpa"
        without "decay times govern all pages";
    hpa_purge_threshold: Bytes(hpa_purge_threshold, cut_to(4096, HUGE)) "idle bytes of 2 MiB that are worth a purge"
        without "whole huge pages go first, then all";
    hpa_purge_threshold_ratio: Ratio(hpa_purge_threshold) "the same as a share of 2 MiB"
        without "whole huge pages go first, then all";
    hpa_slab_max_alloc: Bytes(hpa_slab_max_alloc, cut_to(4096, HUGE)) "largest request that shares a huge page"
        without "all sizes share huge pages";
    hpa_sec_nshards: Number(hpa_sec_nshards, within(0, ANY)) "shards of a cache of page runs"
        without "page runs have no cache in shards";
    hpa_sec_max_alloc: Bytes(hpa_sec_max_alloc, cut_to(4096, 32 << 10)) "largest run in that cache"
        without "page runs have no cache in shards";
    hpa_sec_max_bytes: Bytes(hpa_sec_max_bytes, cut_to(256 << 10, ANY)) "bytes in that cache"
        without "page runs have no cache in shards";
    hpa_sec_batch_fill_extra: Number(hpa_sec_batch_fill_extra, cut_to(1, 512)) "runs that the cache fetches ahead"
        without "page runs have no cache in shards";
    hpa_sec_bytes_after_flush: Bytes(hpa_sec_bytes_after_flush, cut_to(4096, ANY)) "bytes that a flush leaves in that cache"
        without "page runs have no cache in shards";
    experimental_hpa_max_purge_nhp: Count(experimental_hpa_max_purge_nhp, within(-1, i64::MAX)) "huge pages purged in a round under hpa"
        without "rounds are bounded by time";
    experimental_hpa_enforce_hugify: Switch(experimental_hpa_enforce_hugify) "huge pages are advised again and again"
        without "what was made huge needs no advice";
    experimental_hpa_start_huge_if_thp_always: Switch(experimental_hpa_start_huge_if_thp_always) "fresh memory counts as huge where the system says always"
        without "huge pages are earned there too; see thp", "false";
    huge_arena_pac_thp: Switch(huge_arena_pac_thp) "huge pages for the arena of large objects"
        without "large objects share the pages of all others";
    oversize_threshold: Bytes(oversize_threshold, within(0, BYTES_MAX)) "size from which objects have an arena of their own"
        without "large objects share the pages of all others", "0";
    retain: Switch(retain) "address space is kept for later"
        without "kept below 1 GiB, but in arenas by request";
    trust_madvise: Switch(trust_madvise) "no trial whether purged pages read zero"
        without "the trial is one page, once";
    process_madvise_max_batch: Number(process_madvise_max_batch, cut_to(0, 128)) "ranges purged by one call of the system"
        without "a call purges one range, as long as it can be";
    dss: Dss(dss) "address space from sbrk: never, first, or when mmap fails";
    zero_realloc: ZeroRealloc(zero_realloc) "what realloc(p, 0) does";
    abort_conf: Switch(abort_conf) "a bad option ends the process";
    confirm_conf: Switch(confirm_conf) "each source and option is told on standard error";
    count: Switch(count) "the report tells how many operations there were";
    stats_print: Switch(stats_print) "statistics are printed at exit";
    stats_print_opts: Letters(stats_print_opts) "J: as JSON; g m d a b l x e h: without that part";
    stats_interval: Count(stats_interval, within(-1, i64::MAX)) "bytes allocated between prints of statistics; -1: none";
    stats_interval_opts: Letters(stats_interval_opts) "letters as for stats_print_opts";
    report_dir: Path(report_dir) "where the process keeps its report for jemoxide run";
    control: Path(control) "where jemoxide top and stats find the live process";
    control_signal: Number(control_signal, within(0, 64)) "signal that opens control, 12 is SIGUSR2; 0: the start does";
    abort: Switch(abort) "what would be a warning ends the process";
    xmalloc: Switch(xmalloc) "a request that fails ends the process";
    junk: Junk(junk) "new memory is filled with 0xa5, freed memory with 0x5a";
    zero: Switch(zero) "new memory reads zero";
    hardening: Hardening(hardening) "what is done against misuse of memory";
    hardening_stacks: Count(hardening_stacks, within(-1, 8)) "frames of stacks in messages of misuse; -1: by level";
    hardening_families: Switch(hardening_families) "new goes with delete alone, malloc with free";
    guarded_sampling: Number(guarded_sampling, within(0, ANY)) "one in so many slow allocations between guards; 0: none";
    quarantine: Bytes(quarantine, within(0, BYTES_MAX)) "freed objects that wait, from hardening:strong on";
    experimental_infallible_new: Switch(experimental_infallible_new) "C++ new that fails ends the process";
    disable_large_size_classes: Switch(disable_large_size_classes) "sizes above 32 KiB round to pages, not to classes";
    calloc_madvise_threshold: Bytes(calloc_madvise_threshold, within(0, BYTES_MAX)) "calloc has memory cleared by the system from here on";
    mutex_max_spin: Count(mutex_max_spin, within(-1, i64::MAX)) "looks at a lock before a thread sleeps";
    narenas_ratio: Fraction(narenas_ratio) "arenas for each processor, where narenas is not said";
    percpu_arena: PercpuArena(percpu_arena) "threads use the arena of the processor that they run on";
    tcache: Switch(tcache) "threads have a cache";
    tcache_max: Bytes(tcache_max, cut_to(0, 32 << 10)) "largest size that threads cache";
    lg_tcache_max: LgBytes(tcache_max, cut_to(0, 15)) "the same, log2";
    tcache_ncached_max: Spans(tcache_ncached_max, cut_to(0, 8191)) "objects that a thread caches: SIZE-SIZE:N|...; 0: none"
        beyond Reach::Cached, "a thread caches 64K of a class, 8 to 254 objects";
    tcache_nslots_small_min: Number(tcache_nslots_small_min, cut_to(1, 2048)) "objects that a thread caches of a small class, at least"
        beyond Reach::Cached, "a thread caches 64K of a class, 8 to 254 objects";
    tcache_nslots_small_max: Number(tcache_nslots_small_max, cut_to(1, 2048)) "the same, at most";
    tcache_nslots_large: Number(tcache_nslots_large, cut_to(1, 2048)) "objects that a thread caches of a large class"
        beyond Reach::Cached, "a thread caches 64K of a class, 8 to 254 objects";
    lg_tcache_nslots_mul: Count(lg_tcache_nslots_mul, within(-16, 16)) "cached objects for each slot of a slab, log2";
    lg_tcache_flush_small_div: Number(lg_tcache_flush_small_div, cut_to(1, 16)) "part of a small class with a bound that goes, log2";
    lg_tcache_flush_large_div: Number(lg_tcache_flush_large_div, cut_to(1, 16)) "part of a large class with a bound that goes, log2";
    tcache_gc_incr_bytes: Bytes(tcache_gc_incr_bytes, cut_to(1024, ANY)) "traffic from one look at a cached class to the next";
    tcache_gc_delay_bytes: Bytes(tcache_gc_delay_bytes, within(0, ANY)) "flushing that the cache's gc postpones"
        without "what goes lay unused from look to look";
    experimental_tcache_gc: Switch(experimental_tcache_gc) "the cache's gc is limited in time and looks at places"
        without "one class a look goes, whatever the place";
    cache_oblivious: Switch(cache_oblivious) "large objects start anywhere in their first page"
        without "large objects start on a page";
    bin_shards: Spans(bin_shards, within(1, 64)) "locks for each small class: SIZE-SIZE:N|..."
        without "a bin has one lock, taken once a magazine";
    slab_sizes: SlabSizes(slab_sizes) "pages of slabs: SIZE-SIZE:PAGES|..."
        without "slabs are cut as they fit huge pages best";
    lg_extent_max_active_fit: Number(lg_extent_max_active_fit, within(0, 64)) "most that a run may be larger than a request, log2"
        without "runs are taken where huge pages are fullest";
    debug_double_free_max_scan: Number(debug_double_free_max_scan, within(0, ANY)) "cached objects looked through for a double free";
    lg_san_uaf_align: Count(lg_san_uaf_align, signed_cut_to(12, 63)) "which freed objects are watched for use"
        without "hardening:strong watches all freed objects";
    san_guard_small: Number(san_guard_small, within(0, ANY)) "guarded_sampling, where that is not said";
    san_guard_large: Number(san_guard_large, within(0, ANY)) "the same; the smaller of both counts";
    utrace: Switch(utrace) "calls are told to utrace"
        without "Linux has no utrace";
    log: Text(log) "points of the code that write a log"
        without "nothing is logged";
    prof: Switch(prof.is_on) "heap profiles by sampling";
    prof_accum: Switch(prof.accum) "profiles also count what is freed";
    prof_active: Switch(prof.active) "sampling begins at the start";
    prof_bt_max: Number(prof.bt_max, cut_to(1, u32::MAX as u64)) "most frames of a recorded stack"
        beyond Reach::UpTo(STACK_MAX), "stacks have 256 frames at most";
    prof_final: Switch(prof.at_exit) "a profile is written at the end";
    prof_gdump: Switch(prof.gdump) "a profile is written at each new peak";
    prof_leak: Switch(prof.leak) "leaks are told at the end, with prof_final";
    prof_leak_error: Switch(prof.leak_error) "leaks make the process fail, with prof_final";
    prof_log: Switch(prof.log) "lives of samples are logged from the start";
    prof_pid_namespace: Switch(prof.pid_namespace) "names of profiles have the namespace of the process";
    prof_prefix: Prefix(prof.prefix) "beginning of the names of profiles; empty: none";
    prof_recent_alloc_max: Count(prof.recent_alloc_max, within(-1, i64::MAX)) "last samples that are kept; -1: all";
    prof_stats: Switch(prof.stats) "samples are counted by class";
    prof_sys_thread_name: Switch(prof.sys_thread_name) "profiles have the system's names of threads";
    prof_thread_active_init: Switch(prof.thread_active_init) "new threads are sampled";
    prof_time_resolution: ProfTimeResolution(prof.time_resolution) "clock of the samples";
    prof_unbias: Switch(prof.unbias) "counts are corrected for the sizes in a stack";
    prof_details: Switch(prof.details) "profiles tell of the peak, lifetimes, tags, objects too";
    prof_seed: Number(prof.seed, within(0, ANY)) "the same samples in every run; 0: other ones";
    prof_signal: Number(prof.signal, within(0, 64)) "signal that switches sampling, 10 is SIGUSR1; 0: none";
    lg_prof_interval: Count(prof.lg_interval, within(-1, 63)) "bytes from one profile to the next, log2";
    lg_prof_sample: Number(prof.lg_sample, cut_to(0, 63)) "bytes from one sample to the next, log2";
}

impl Key {
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Why no value has an effect; empty where some have.
    pub(super) fn without_effect(&self) -> &str {
        match self.reach {
            Reach::Nowhere => self.unheard.as_str(),
            _ => "",
        }
    }

    /// A second way to write another key's value: that other key's name.
    pub(super) fn alias_of(&self) -> Option<&[u8]> {
        let name = self.name.as_bytes().strip_suffix(b"_ratio")?;
        name.starts_with(b"hpa_").then_some(name)
    }
}

/// The place in `options` of key number `at`.
pub(super) fn place(at: usize, options: &mut Options) -> Option<Slot<'_>> {
    Some(PLACES.get(at)?(options))
}

/// The key that is written `name`.
#[cold]
#[inline(never)]
pub(crate) fn find(name: &[u8]) -> Option<usize> {
    let exact = |name: &[u8]| KEYS.iter().position(|key| key.name.as_bytes() == name);
    let begins = |full: &&str| !name.is_empty() && full.as_bytes().starts_with(name);
    exact(name).or_else(|| exact(COMPLETED.split('|').find(begins)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_enough_where_jemalloc_completes() {
        let name = |text: &[u8]| find(text).map(|at| KEYS[at].name());
        assert_eq!(name(b"d"), Some("dss"));
        assert_eq!(name(b"meta"), Some("metadata_thp"));
        assert_eq!(name(b"hpa_hugify_st"), Some("hpa_hugify_style"));
        assert_eq!(name(b"hpa"), Some("hpa"));
        assert_eq!(name(b"narena"), None);
        assert_eq!(name(b""), None);
    }

    #[test]
    fn an_alias_has_its_key() {
        let aliases: std::vec::Vec<_> = KEYS.iter().filter_map(Key::alias_of).collect();
        assert_eq!(aliases.len(), 2);
        assert!(aliases.into_iter().all(|of| find(of).is_some()));
    }
}
