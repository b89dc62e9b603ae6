//! What fuzz targets do with their bytes. The same files are modules of `crates/core/tests/corpus.rs` and
//! `crates/profile/tests/corpus.rs`, which run every input that is kept in `corpus/` as an ordinary test.

pub mod maps;
pub mod names;
pub mod operations;
pub mod options;
pub mod profiles;
