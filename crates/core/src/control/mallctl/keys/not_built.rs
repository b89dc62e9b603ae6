//! What a build without heap profiling and tracing knows by name only: `config.prof` and `config.utrace` say no. Such keys have a mib, and answer that they are absent.

use super::super::row::{Access, Kind, Row, row};

const fn absent(name: &'static str) -> Row {
    row(name, Access::Own, Kind::None, super::Key::NotBuilt)
}

pub(super) const ROWS: &[Row] = &[
    absent("thread.prof.name"),
    absent("thread.prof.active"),
    absent("opt.utrace"),
    absent("opt.prof"),
    absent("opt.prof_prefix"),
    absent("opt.prof_active"),
    absent("opt.prof_thread_active_init"),
    absent("opt.prof_bt_max"),
    absent("opt.lg_prof_sample"),
    absent("opt.lg_prof_interval"),
    absent("opt.prof_gdump"),
    absent("opt.prof_final"),
    absent("opt.prof_leak"),
    absent("opt.prof_leak_error"),
    absent("opt.prof_accum"),
    absent("opt.prof_pid_namespace"),
    absent("opt.prof_recent_alloc_max"),
    absent("opt.prof_stats"),
    absent("opt.prof_sys_thread_name"),
    absent("opt.prof_time_resolution"),
    absent("opt.lg_san_uaf_align"),
    absent("prof.thread_active_init"),
    absent("prof.active"),
    absent("prof.dump"),
    absent("prof.gdump"),
    absent("prof.prefix"),
    absent("prof.reset"),
    absent("prof.interval"),
    absent("prof.lg_sample"),
    absent("prof.log_start"),
    absent("prof.log_stop"),
    absent("prof.stats.bins.<i>.live"),
    absent("prof.stats.bins.<i>.accum"),
    absent("prof.stats.lextents.<i>.live"),
    absent("prof.stats.lextents.<i>.accum"),
    absent("experimental.prof_recent.alloc_max"),
    absent("experimental.prof_recent.alloc_dump"),
];
