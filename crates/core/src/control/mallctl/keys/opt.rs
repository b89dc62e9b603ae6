//! `opt.*`: the options that the process started with. Nothing changes them.

use super::super::row::{Kind, Row, read};
use super::{Call, Refusal, arena};
use crate::arena::automatic;
use crate::control::options::Origin;
use crate::control::{boot, tcache};
use crate::options::{
    BackgroundThread, HugifyStyle, Junk, MetadataThp, PercpuArena, Thp, ZeroRealloc,
};
use core::ffi::c_char;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    /// What cannot be changed, nor could be set otherwise.
    Tcache,
    StatsPrint,
    StatsPrintOpts,
    StatsInterval,
    StatsIntervalOpts,
    TcacheMax,
    TcacheNslotsSmallMin,
    TcacheNslotsSmallMax,
    TcacheNslotsLarge,
    LgTcacheNslotsMul,
    TcacheGcIncrBytes,
    TcacheGcDelayBytes,
    LgTcacheFlushSmallDiv,
    LgTcacheFlushLargeDiv,
    ExperimentalTcacheGc,
    AbortConf,
    Dss,
    Narenas,
    BackgroundThread,
    MaxBackgroundThreads,
    DirtyDecayMs,
    MuzzyDecayMs,
    ZeroRealloc,
    TrustMadvise,
    ConfirmConf,
    Hpa,
    HpaHugifySync,
    ExperimentalHpaStartHugeIfThpAlways,
    ExperimentalHpaEnforceHugify,
    HugeArenaPacThp,
    Retain,
    HpaSlabMaxAlloc,
    HpaHugificationThreshold,
    HpaPurgeThreshold,
    HpaSecNshards,
    HpaSecMaxAlloc,
    HpaSecMaxBytes,
    HpaSecBatchFillExtra,
    HpaSecBytesAfterFlush,
    OversizeThreshold,
    ProcessMadviseMaxBatch,
    HpaHugifyDelayMs,
    HpaMinPurgeIntervalMs,
    HpaMinPurgeDelayMs,
    ExperimentalHpaMaxPurgeNhp,
    HpaDirtyMult,
    HpaHugifyStyle,
    Thp,
    MetadataThp,
    Abort,
    Xmalloc,
    Junk,
    Zero,
    ExperimentalInfallibleNew,
    CacheOblivious,
    DisableLargeSizeClasses,
    DebugDoubleFreeMaxScan,
    MutexMaxSpin,
    LgExtentMaxActiveFit,
    PercpuArena,
    /// What was said where; absent where nothing was.
    TextOf(Origin),
}

const fn opt(name: &'static str, kind: Kind, key: Key) -> Row {
    read(name, kind, super::Key::Opt(key))
}

pub(super) const ROWS: &[Row] = &[
    opt("opt.abort_conf", Kind::Bool, Key::AbortConf),
    opt("opt.cache_oblivious", Kind::Bool, Key::CacheOblivious),
    opt("opt.dss", Kind::Text, Key::Dss),
    opt("opt.narenas", Kind::U32, Key::Narenas),
    opt("opt.percpu_arena", Kind::Text, Key::PercpuArena),
    opt("opt.background_thread", Kind::Bool, Key::BackgroundThread),
    opt(
        "opt.max_background_threads",
        Kind::Size,
        Key::MaxBackgroundThreads,
    ),
    opt("opt.dirty_decay_ms", Kind::Signed, Key::DirtyDecayMs),
    opt("opt.muzzy_decay_ms", Kind::Signed, Key::MuzzyDecayMs),
    opt("opt.stats_print", Kind::Bool, Key::StatsPrint),
    opt("opt.stats_print_opts", Kind::Text, Key::StatsPrintOpts),
    opt("opt.stats_interval", Kind::I64, Key::StatsInterval),
    opt(
        "opt.stats_interval_opts",
        Kind::Text,
        Key::StatsIntervalOpts,
    ),
    opt(
        "opt.experimental_infallible_new",
        Kind::Bool,
        Key::ExperimentalInfallibleNew,
    ),
    opt(
        "opt.experimental_tcache_gc",
        Kind::Bool,
        Key::ExperimentalTcacheGc,
    ),
    opt("opt.tcache", Kind::Bool, Key::Tcache),
    opt("opt.tcache_max", Kind::Size, Key::TcacheMax),
    opt(
        "opt.tcache_nslots_small_min",
        Kind::U32,
        Key::TcacheNslotsSmallMin,
    ),
    opt(
        "opt.tcache_nslots_small_max",
        Kind::U32,
        Key::TcacheNslotsSmallMax,
    ),
    opt("opt.tcache_nslots_large", Kind::U32, Key::TcacheNslotsLarge),
    opt(
        "opt.lg_tcache_nslots_mul",
        Kind::Signed,
        Key::LgTcacheNslotsMul,
    ),
    opt(
        "opt.tcache_gc_incr_bytes",
        Kind::Size,
        Key::TcacheGcIncrBytes,
    ),
    opt(
        "opt.tcache_gc_delay_bytes",
        Kind::Size,
        Key::TcacheGcDelayBytes,
    ),
    opt(
        "opt.lg_tcache_flush_small_div",
        Kind::U32,
        Key::LgTcacheFlushSmallDiv,
    ),
    opt(
        "opt.lg_tcache_flush_large_div",
        Kind::U32,
        Key::LgTcacheFlushLargeDiv,
    ),
    opt("opt.zero_realloc", Kind::Text, Key::ZeroRealloc),
    opt(
        "opt.debug_double_free_max_scan",
        Kind::U32,
        Key::DebugDoubleFreeMaxScan,
    ),
    opt(
        "opt.disable_large_size_classes",
        Kind::Bool,
        Key::DisableLargeSizeClasses,
    ),
    opt("opt.trust_madvise", Kind::Bool, Key::TrustMadvise),
    opt("opt.confirm_conf", Kind::Bool, Key::ConfirmConf),
    opt("opt.hpa", Kind::Bool, Key::Hpa),
    opt("opt.hpa_hugify_sync", Kind::Bool, Key::HpaHugifySync),
    opt(
        "opt.experimental_hpa_start_huge_if_thp_always",
        Kind::Bool,
        Key::ExperimentalHpaStartHugeIfThpAlways,
    ),
    opt(
        "opt.experimental_hpa_enforce_hugify",
        Kind::Bool,
        Key::ExperimentalHpaEnforceHugify,
    ),
    opt("opt.huge_arena_pac_thp", Kind::Bool, Key::HugeArenaPacThp),
    opt("opt.retain", Kind::Bool, Key::Retain),
    opt("opt.hpa_slab_max_alloc", Kind::Size, Key::HpaSlabMaxAlloc),
    opt(
        "opt.hpa_hugification_threshold",
        Kind::Size,
        Key::HpaHugificationThreshold,
    ),
    opt(
        "opt.hpa_purge_threshold",
        Kind::Size,
        Key::HpaPurgeThreshold,
    ),
    opt("opt.hpa_sec_nshards", Kind::Size, Key::HpaSecNshards),
    opt("opt.hpa_sec_max_alloc", Kind::Size, Key::HpaSecMaxAlloc),
    opt("opt.hpa_sec_max_bytes", Kind::Size, Key::HpaSecMaxBytes),
    opt(
        "opt.hpa_sec_batch_fill_extra",
        Kind::Size,
        Key::HpaSecBatchFillExtra,
    ),
    opt(
        "opt.hpa_sec_bytes_after_flush",
        Kind::Size,
        Key::HpaSecBytesAfterFlush,
    ),
    opt("opt.oversize_threshold", Kind::Size, Key::OversizeThreshold),
    opt(
        "opt.process_madvise_max_batch",
        Kind::Size,
        Key::ProcessMadviseMaxBatch,
    ),
    opt("opt.hpa_hugify_delay_ms", Kind::U64, Key::HpaHugifyDelayMs),
    opt(
        "opt.hpa_min_purge_interval_ms",
        Kind::U64,
        Key::HpaMinPurgeIntervalMs,
    ),
    opt(
        "opt.hpa_min_purge_delay_ms",
        Kind::U64,
        Key::HpaMinPurgeDelayMs,
    ),
    opt(
        "opt.experimental_hpa_max_purge_nhp",
        Kind::Signed,
        Key::ExperimentalHpaMaxPurgeNhp,
    ),
    opt("opt.hpa_dirty_mult", Kind::U32, Key::HpaDirtyMult),
    opt("opt.hpa_hugify_style", Kind::Text, Key::HpaHugifyStyle),
    opt("opt.thp", Kind::Text, Key::Thp),
    opt("opt.metadata_thp", Kind::Text, Key::MetadataThp),
    opt("opt.abort", Kind::Bool, Key::Abort),
    opt("opt.xmalloc", Kind::Bool, Key::Xmalloc),
    opt("opt.junk", Kind::Text, Key::Junk),
    opt("opt.zero", Kind::Bool, Key::Zero),
    opt("opt.mutex_max_spin", Kind::I64, Key::MutexMaxSpin),
    opt(
        "opt.lg_extent_max_active_fit",
        Kind::Size,
        Key::LgExtentMaxActiveFit,
    ),
    opt(
        "opt.malloc_conf.symlink",
        Kind::Text,
        Key::TextOf(Origin::Link),
    ),
    opt(
        "opt.malloc_conf.env_var",
        Kind::Text,
        Key::TextOf(Origin::MallocConf),
    ),
    opt(
        "opt.malloc_conf.global_var",
        Kind::Text,
        Key::TextOf(Origin::Variable),
    ),
    opt(
        "opt.malloc_conf.global_var_2_conf_harder",
        Kind::Text,
        Key::TextOf(Origin::Harder),
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let (options, request) = (boot::options(), &mut call.request);
    match key {
        Key::Tcache => request.give_bool(options.tcache),
        // A size class.
        Key::TcacheMax => request.give(tcache::largest(options.tcache_max).size()),
        Key::TcacheNslotsSmallMin => request.give(options.tcache_nslots_small_min as u32),
        Key::TcacheNslotsSmallMax => request.give(options.tcache_nslots_small_max as u32),
        Key::TcacheNslotsLarge => request.give(options.tcache_nslots_large as u32),
        Key::LgTcacheNslotsMul => request.give(options.lg_tcache_nslots_mul),
        Key::TcacheGcIncrBytes => request.give(options.tcache_gc_incr_bytes),
        Key::TcacheGcDelayBytes => request.give(options.tcache_gc_delay_bytes),
        Key::LgTcacheFlushSmallDiv => request.give(options.lg_tcache_flush_small_div as u32),
        Key::LgTcacheFlushLargeDiv => request.give(options.lg_tcache_flush_large_div as u32),
        Key::ExperimentalTcacheGc => request.give_bool(options.experimental_tcache_gc),
        Key::StatsPrint => request.give_bool(options.stats_print),
        Key::StatsPrintOpts => request.give_text(options.stats_print_opts.as_c_str()),
        Key::StatsInterval => request.give(options.stats_interval as i64),
        Key::StatsIntervalOpts => request.give_text(options.stats_interval_opts.as_c_str()),
        Key::AbortConf => request.give_bool(options.abort_conf),
        Key::Dss => request.give_text(arena::dss_name(options.dss)),
        Key::Narenas => request.give(automatic() as u32),
        Key::BackgroundThread => {
            request.give_bool(options.background_thread != BackgroundThread::Never)
        }
        Key::MaxBackgroundThreads => request.give(options.max_background_threads),
        Key::DirtyDecayMs => request.give(options.dirty_decay_ms),
        Key::MuzzyDecayMs => request.give(options.muzzy_decay_ms),
        Key::TrustMadvise => request.give_bool(options.trust_madvise),
        Key::ConfirmConf => request.give_bool(options.confirm_conf),
        Key::Hpa => request.give_bool(options.hpa),
        Key::HpaHugifySync => request.give_bool(options.hpa_hugify_sync),
        Key::ExperimentalHpaStartHugeIfThpAlways => {
            request.give_bool(options.experimental_hpa_start_huge_if_thp_always)
        }
        Key::ExperimentalHpaEnforceHugify => {
            request.give_bool(options.experimental_hpa_enforce_hugify)
        }
        Key::HugeArenaPacThp => request.give_bool(options.huge_arena_pac_thp),
        Key::Retain => request.give_bool(options.retain),
        Key::HpaSlabMaxAlloc => request.give(options.hpa_slab_max_alloc),
        Key::HpaHugificationThreshold => request.give(options.hpa_hugification_threshold),
        Key::HpaPurgeThreshold => request.give(options.hpa_purge_threshold),
        Key::HpaSecNshards => request.give(options.hpa_sec_nshards),
        Key::HpaSecMaxAlloc => request.give(options.hpa_sec_max_alloc),
        Key::HpaSecMaxBytes => request.give(options.hpa_sec_max_bytes),
        Key::HpaSecBatchFillExtra => request.give(options.hpa_sec_batch_fill_extra),
        Key::HpaSecBytesAfterFlush => request.give(options.hpa_sec_bytes_after_flush),
        Key::OversizeThreshold => request.give(options.oversize_threshold),
        Key::ProcessMadviseMaxBatch => request.give(options.process_madvise_max_batch),
        Key::HpaHugifyDelayMs => request.give(options.hpa_hugify_delay_ms as u64),
        Key::HpaMinPurgeIntervalMs => request.give(options.hpa_min_purge_interval_ms as u64),
        Key::HpaMinPurgeDelayMs => request.give(options.hpa_min_purge_delay_ms as u64),
        Key::ExperimentalHpaMaxPurgeNhp => request.give(options.experimental_hpa_max_purge_nhp),
        // All ones say "never".
        Key::HpaDirtyMult => {
            request.give(u32::try_from(options.hpa_dirty_mult.0).unwrap_or(u32::MAX))
        }
        Key::HpaHugifyStyle => request.give_text(match options.hpa_hugify_style {
            HugifyStyle::Auto => c"auto",
            HugifyStyle::None => c"none",
            HugifyStyle::Eager => c"eager",
            HugifyStyle::Lazy => c"lazy",
        }),
        Key::Thp => request.give_text(match options.thp {
            Thp::Default => c"default",
            Thp::Always => c"always",
            Thp::Never => c"never",
        }),
        Key::MetadataThp => request.give_text(match options.metadata_thp {
            MetadataThp::Disabled => c"disabled",
            MetadataThp::Auto => c"auto",
            MetadataThp::Always => c"always",
        }),
        Key::Abort => request.give_bool(options.abort),
        Key::Xmalloc => request.give_bool(options.xmalloc),
        Key::Zero => request.give_bool(options.zero),
        Key::ExperimentalInfallibleNew => request.give_bool(options.experimental_infallible_new),
        Key::CacheOblivious => request.give_bool(options.cache_oblivious),
        Key::DisableLargeSizeClasses => request.give_bool(options.disable_large_size_classes),
        Key::DebugDoubleFreeMaxScan => request.give(options.debug_double_free_max_scan as u32),
        Key::MutexMaxSpin => request.give(options.mutex_max_spin as i64),
        Key::LgExtentMaxActiveFit => request.give(options.lg_extent_max_active_fit),
        Key::TextOf(origin) => match boot::text_of(origin) {
            Some(text) => request.give(text.as_ptr().cast::<c_char>()),
            None => Err(Refusal::Absent),
        },
        Key::Junk => request.give_text(match options.junk {
            Junk::Never => c"false",
            Junk::Always => c"true",
            Junk::Alloc => c"alloc",
            Junk::Free => c"free",
        }),
        Key::PercpuArena => request.give_text(match options.percpu_arena {
            PercpuArena::Disabled => c"disabled",
            PercpuArena::Percpu => c"percpu",
            PercpuArena::Phycpu => c"phycpu",
        }),
        Key::ZeroRealloc => request.give_text(match options.zero_realloc {
            ZeroRealloc::Alloc => c"alloc",
            ZeroRealloc::Free => c"free",
            ZeroRealloc::Abort => c"abort",
        }),
    }
}
