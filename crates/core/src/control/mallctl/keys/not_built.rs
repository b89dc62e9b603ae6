//! What a build without tracing knows by name only: `config.utrace` says no. Such keys have a mib, and answer that they are absent.

use super::super::row::{Access, Kind, Row, row};

const fn absent(name: &'static str) -> Row {
    row(name, Access::Own, Kind::None, super::Key::NotBuilt)
}

pub(super) const ROWS: &[Row] = &[absent("opt.utrace"), absent("opt.lg_san_uaf_align")];
