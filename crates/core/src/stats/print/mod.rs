//! Statistics, as text for people and as JSON.
//!
//! ```text
//! Source: "stats.arenas.0.pdirty" -> 17       Sink: text, piece by piece
//!         ^                                        ^
//!         └────── json: one schema ────────────────┤
//!         └────── text: sections and tables ───────┘
//! ```
//! P1  Everything is asked for by the name that mallctl has for it; what there is no name for is left out.
//! P2  No allocation: pieces come in a buffer on the stack, each of them a C string of 4 KiB at most. No lock is held
//!     while the sink has one, which may allocate and free.
//! P3  Schema and sections are jemalloc's: keys, order, columns. JSON escapes what has to be escaped, and no key comes
//!     twice.
//! Source: jemalloc(3) `malloc_stats_print`; the tables in the testkit's facts.
#![deny(unsafe_code)]

mod json;
mod letters;
mod name;
mod output;
mod table;
mod text;

pub(crate) use letters::Letters;
pub(crate) use name::Name;

use output::Output;

/// A value, by its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Switch(bool),
    Unsigned(u64),
    Signed(i64),
    Text(&'static [u8]),
}

/// Who knows values by their names.
pub(crate) trait Source {
    /// The value of `name`. `None`: there is none.
    fn value(&self, name: &[u8]) -> Option<Value>;
    /// The two numbers of `name`. `None`: there are none.
    fn pair(&self, name: &[u8]) -> Option<[u64; 2]>;
    /// Writes what arena `index` is called into `text`; so many bytes.
    fn arena_name(&self, index: usize, text: &mut [u8; ARENA_NAME]) -> usize;
}

/// Bytes of an arena's name at most.
pub(crate) const ARENA_NAME: usize = 32;

/// Who takes text: pieces that end in a zero byte.
pub(crate) trait Sink {
    /// Takes the next piece.
    fn take(&mut self, piece: &[u8]);
}

/// Prints what `letters` leave.
pub(crate) fn print(source: &impl Source, sink: &mut impl Sink, letters: Letters) {
    let mut out = Output::new(sink);
    if letters.has(b'J') {
        json::print(&Figures(source), &mut out, letters);
    } else {
        text::print(&Figures(source), &mut out, letters);
    }
    out.end();
}

/// What JSON and text ask alike.
struct Figures<'a, S>(&'a S);

impl<S: Source> Figures<'_, S> {
    fn value(&self, name: &Name) -> Option<Value> {
        self.0.value(name.as_bytes())
    }

    /// The number called `name`, 0 where there is none.
    fn number(&self, name: &Name) -> u64 {
        match self.value(name) {
            Some(Value::Unsigned(number)) => number,
            Some(Value::Signed(number)) => number.max(0) as u64,
            Some(Value::Switch(on)) => u64::from(on),
            Some(Value::Text(_)) | None => 0,
        }
    }

    /// What of class `class` of `part`, `bins` or `lextents`, is sampled: bytes asked for and objects, alive and ever. It is told
    /// of all arenas together, and where samples are counted by class.
    fn samples(&self, arenas: Arenas, part: &str, class: usize) -> Option<[u64; 4]> {
        if arenas != Arenas::Merged {
            return None;
        }
        let class = Name::of("prof.stats.").then(part).then(".").index(class);
        let pair = |figure| self.0.pair(class.then(figure).as_bytes());
        let ([live_bytes, live], [bytes, count]) = (pair(".live")?, pair(".accum")?);
        Some([live_bytes, live, bytes, count])
    }

    fn is_on(&self, name: &Name) -> bool {
        self.value(name) == Some(Value::Switch(true))
    }

    /// The parts about arenas that `letters` leave and that there are.
    fn each_arenas(&self, letters: Letters, mut each: impl FnMut(Arenas)) {
        let count = self.number(&Name::of("arenas.narenas")) as usize;
        let is_there =
            |index: usize| self.is_on(&Name::of("arena.").index(index).then(".initialized"));
        let there = (0..count).filter(|&index| is_there(index)).count();
        let single = !letters.omit(b'a');
        if !letters.omit(b'm') && (there > 1 || !single) {
            each(Arenas::Merged);
        }
        if !letters.omit(b'd') && is_there(Arenas::Destroyed.index()) {
            each(Arenas::Destroyed);
        }
        if single {
            for index in (0..count).filter(|&index| is_there(index)) {
                each(Arenas::One(index));
            }
        }
    }
}

/// What samples of a class are called in JSON, and in tables.
const SAMPLES: &str = "prof_live_requested prof_live_count prof_accum_requested prof_accum_count";

/// Arenas that figures are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arenas {
    Merged,
    Destroyed,
    One(usize),
}

impl Arenas {
    /// The index that stands for them.
    const fn index(self) -> usize {
        match self {
            Self::Merged => 4096,
            Self::Destroyed => 4097,
            Self::One(index) => index,
        }
    }

    /// The name of one of their figures.
    fn name(self, figure: &str) -> Name {
        Name::of("stats.arenas.")
            .index(self.index())
            .then(".")
            .then(figure)
    }
}

/// Locks of the process, and of an arena, and what is counted of each.
const PROCESS_LOCKS: &str = "background_thread max_per_bg_thd ctl prof prof_thds_data prof_dump prof_recent_alloc \
    prof_recent_dump prof_stats";
const ARENA_LOCKS: &str = "large extent_avail extents_dirty extents_muzzy extents_retained extents_pinned decay_dirty \
    decay_muzzy base tcache_list hpa_shard hpa_shard_grow hpa_sec";
const LOCK_COUNTS: &str =
    "num_ops num_wait num_spin_acq num_owner_switch total_wait_time max_wait_time max_num_thds";

const CONFIG: &str = "cache_oblivious debug fill lazy_lock malloc_conf opt_safety_checks prof prof_libgcc \
    prof_libunwind prof_frameptr stats utrace xmalloc";

/// Where options stood; keys of `opt` in JSON, names below `opt.malloc_conf` in the tree.
const CONF_SOURCES: &str = "global_var symlink env_var global_var_2_conf_harder";

const OPTIONS: &str = "abort abort_conf cache_oblivious confirm_conf experimental_hpa_start_huge_if_thp_always \
    experimental_hpa_enforce_hugify retain dss narenas percpu_arena oversize_threshold hpa hpa_slab_max_alloc \
    hpa_hugification_threshold hpa_hugify_delay_ms hpa_hugify_sync hpa_min_purge_interval_ms \
    experimental_hpa_max_purge_nhp hpa_dirty_mult hpa_purge_threshold hpa_min_purge_delay_ms hpa_hugify_style \
    hpa_sec_nshards hpa_sec_max_alloc hpa_sec_max_bytes hpa_sec_bytes_after_flush hpa_sec_batch_fill_extra \
    huge_arena_pac_thp metadata_thp mutex_max_spin background_thread dirty_decay_ms muzzy_decay_ms \
    lg_extent_max_active_fit junk zero utrace xmalloc experimental_infallible_new experimental_tcache_gc tcache \
    tcache_max tcache_nslots_small_min tcache_nslots_small_max tcache_nslots_large lg_tcache_nslots_mul \
    tcache_gc_incr_bytes tcache_gc_delay_bytes lg_tcache_flush_small_div lg_tcache_flush_large_div \
    debug_double_free_max_scan thp prof prof_bt_max prof_prefix prof_active prof_thread_active_init lg_prof_sample \
    prof_accum lg_prof_interval prof_gdump prof_final prof_leak prof_leak_error stats_print stats_print_opts \
    stats_interval stats_interval_opts zero_realloc process_madvise_max_batch disable_large_size_classes";

/// `opt.hpa_dirty_mult` counts in parts of 65536: as a decimal number, or -1 for never.
const DIRTY_MULT: &str = "hpa_dirty_mult";
const DIRTY_MULT_NEVER: u64 = u32::MAX as u64;

impl<S: Source> Figures<'_, S> {
    /// Small classes.
    fn small(&self) -> usize {
        self.number(&Name::of("arenas.nbins")) as usize
    }

    /// Large classes.
    fn large(&self) -> usize {
        self.number(&Name::of("arenas.nlextents")) as usize
    }

    /// Page classes: as many as there are indexes of them.
    fn page_classes(&self) -> usize {
        crate::size::PAGE_CLASSES
    }

    /// Pages of huge pages that are none for the system which are neither used nor dirty.
    fn retained_pages(&self, prefix: Name) -> u64 {
        let number = |figure: &str| self.number(&prefix.then(figure).then("_nonhuge"));
        let pages = number("npageslabs") * crate::size::HUGE_PAGES as u64;
        pages.saturating_sub(number("nactive") + number("ndirty"))
    }
}
