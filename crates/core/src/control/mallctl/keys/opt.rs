//! `opt.*`: the options that the process started with. Nothing changes them.

use super::super::row::{Kind, Row, read};
use super::{Call, Refusal, arena};
use crate::arena::automatic;
use crate::control::{boot, purger};
use crate::options::{BackgroundThread, ZeroRealloc};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    /// What cannot be changed, nor could be set otherwise.
    Yes,
    No,
    NoText,
    Never,
    Zero,
    Zero32,
    PercpuArena,
    TcacheMax,
    AbortConf,
    Dss,
    Narenas,
    BackgroundThread,
    MaxBackgroundThreads,
    DirtyDecayMs,
    MuzzyDecayMs,
    ZeroRealloc,
}

const fn opt(name: &'static str, kind: Kind, key: Key) -> Row {
    read(name, kind, super::Key::Opt(key))
}

pub(super) const ROWS: &[Row] = &[
    opt("opt.abort_conf", Kind::Bool, Key::AbortConf),
    opt("opt.cache_oblivious", Kind::Bool, Key::No),
    opt("opt.huge_arena_pac_thp", Kind::Bool, Key::No),
    opt("opt.retain", Kind::Bool, Key::Yes),
    opt("opt.dss", Kind::Text, Key::Dss),
    opt("opt.narenas", Kind::U32, Key::Narenas),
    opt("opt.percpu_arena", Kind::Text, Key::PercpuArena),
    opt("opt.oversize_threshold", Kind::Size, Key::Zero),
    opt("opt.background_thread", Kind::Bool, Key::BackgroundThread),
    opt(
        "opt.max_background_threads",
        Kind::Size,
        Key::MaxBackgroundThreads,
    ),
    opt("opt.dirty_decay_ms", Kind::Signed, Key::DirtyDecayMs),
    opt("opt.muzzy_decay_ms", Kind::Signed, Key::MuzzyDecayMs),
    opt("opt.stats_print", Kind::Bool, Key::No),
    opt("opt.stats_print_opts", Kind::Text, Key::NoText),
    opt("opt.stats_interval", Kind::I64, Key::Never),
    opt("opt.stats_interval_opts", Kind::Text, Key::NoText),
    opt("opt.experimental_infallible_new", Kind::Bool, Key::No),
    opt("opt.tcache", Kind::Bool, Key::Yes),
    opt("opt.tcache_max", Kind::Size, Key::TcacheMax),
    opt("opt.zero_realloc", Kind::Text, Key::ZeroRealloc),
    opt("opt.debug_double_free_max_scan", Kind::U32, Key::Zero32),
    opt("opt.disable_large_size_classes", Kind::Bool, Key::Yes),
    opt("opt.process_madvise_max_batch", Kind::Size, Key::Zero),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let (options, request) = (boot::options(), &mut call.request);
    match key {
        Key::Yes => request.give_bool(true),
        Key::No => request.give_bool(false),
        Key::NoText => request.give_text(c""),
        Key::Never => request.give(-1i64),
        Key::Zero => request.give(0usize),
        Key::Zero32 => request.give(0u32),
        Key::PercpuArena => request.give_text(c"disabled"),
        Key::TcacheMax => request.give(crate::size::COARSE_MAX),
        Key::AbortConf => request.give_bool(options.abort_conf),
        Key::Dss => request.give_text(arena::dss_name(options.dss)),
        Key::Narenas => request.give(automatic() as u32),
        Key::BackgroundThread => {
            request.give_bool(options.background_thread != BackgroundThread::Never)
        }
        Key::MaxBackgroundThreads => request.give(purger::MOST),
        Key::DirtyDecayMs => request.give(options.dirty_decay_ms),
        Key::MuzzyDecayMs => request.give(options.muzzy_decay_ms),
        Key::ZeroRealloc => request.give_text(match options.zero_realloc {
            ZeroRealloc::Alloc => c"alloc",
            ZeroRealloc::Free => c"free",
            ZeroRealloc::Abort => c"abort",
        }),
    }
}
