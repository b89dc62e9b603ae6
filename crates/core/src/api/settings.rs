//! Settings: what the options of a process come to, and why.
//!
//! For commands and services that show them; a program's own options are read by its first allocation, here nothing
//! is set. How options are written: README, docs/COMPAT.md.

pub use crate::control::options::{Origin, Setting, explain};
pub use crate::options::Preset;

/// The options given to the build of this library, if any.
#[must_use]
pub fn build_options() -> Option<&'static str> {
    crate::control::options::BUILD
}
