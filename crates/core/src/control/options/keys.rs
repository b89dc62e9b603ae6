//! The keys: a row each.
//!
//! ```text
//! key: Kind(field of Options, numbers it takes) "what it is about" without "why it has no effect", "what it has then"
//! ```
//! K1  A key that has no effect here says why, and a value that asks for one gets a line that tells.
//! K2  What would be an address is not in the rows: the loader writes each address at the start of every process. The
//!     places stand in a table of their own, made of the same rows.
#![deny(unsafe_code)]

use super::label::Label;
use super::slot::{Slot, cut_to, within};
use crate::options::Options;

/// One key.
pub(crate) struct Key {
    name: Label<41>,
    /// What it is about, in a line.
    pub(super) meaning: Label<60>,
    /// Why it has no effect; empty where it has one.
    pub(super) unheard: Label<48>,
    /// A value besides the default that describes what is done anyway; empty for none.
    pub(super) fits_too: Label<5>,
}

/// Largest request, and so the largest number of bytes that means anything.
const BYTES_MAX: u64 = 8_070_450_532_247_928_832;
/// The longest decay time: milliseconds in 2^63 nanoseconds.
pub(crate) const DECAY_MAX: i64 = 9_223_372_036_854;
const HUGE: u64 = 2 << 20;
const ANY: u64 = u64::MAX;

/// Keys of which the beginning is enough, in the order in which they are tried. Source: jemalloc's parser.
const COMPLETED: &str = "metadata_thp|dss|hpa_hugify_style";

/// Whether `value` is a decay time.
pub(crate) fn is_decay_ms(value: i64) -> bool {
    (-1..=DECAY_MAX).contains(&value)
}

macro_rules! rows {
    ($($key:ident: $kind:ident($field:ident $(, $range:expr)?) $meaning:literal
       $(without $why:literal $(, $fits:literal)?)?;)*) => {
        /// All keys, in the order in which they are explained.
        pub(crate) static KEYS: [Key; PLACES.len()] = [$(Key {
            name: Label::new(stringify!($key)),
            meaning: Label::new($meaning),
            unheard: Label::new(concat!($($why)?)),
            fits_too: Label::new(concat!($($($fits)?)?)),
        }),*];

        /// The places, in the same order (K2).
        static PLACES: [fn(&mut Options) -> Slot<'_>; [$(stringify!($key)),*].len()] =
            [$(|options| Slot::$kind(&mut options.$field $(, $range)?)),*];
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
    max_background_threads: Number(max_background_threads, cut_to(1, 4096)) "most such threads; more than one is never made";
    cgroup: Switch(cgroup) "processors and memory limit of the container count";
    heap_limit_soft: Bytes(heap_limit_soft, within(0, BYTES_MAX)) "above it memory goes back at once; 0: none";
    heap_limit_hard: Bytes(heap_limit_hard, within(0, BYTES_MAX)) "above it allocations fail; 0: none";
    narenas: Arenas(narenas) "arenas; by default one for every 8 processors";
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
        without "below 1 GiB it is always kept";
    trust_madvise: Switch(trust_madvise) "no trial whether purged pages read zero"
        without "the trial is one page, once";
    process_madvise_max_batch: Number(process_madvise_max_batch, cut_to(0, 128)) "ranges purged by one call of the system"
        without "a call purges one range, as long as it can be";
    dss: Dss(dss) "address space from sbrk: never, first, or when mmap fails";
    zero_realloc: ZeroRealloc(zero_realloc) "what realloc(p, 0) does";
    abort_conf: Switch(abort_conf) "a bad option ends the process";
    confirm_conf: Switch(confirm_conf) "each source and option is told on standard error";
    count: Switch(count) "every operation is counted, at a few nanoseconds each";
    report_dir: Path(report_dir) "where the process keeps its report for jemoxide run";
}

impl Key {
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// A second way to write another key's value: that other key's name.
    pub(super) fn alias_of(&self) -> Option<&[u8]> {
        self.name.as_bytes().strip_suffix(b"_ratio")
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
