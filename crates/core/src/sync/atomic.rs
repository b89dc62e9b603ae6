//! Atomics for lock-free code: the processor's, or a checker's under `cfg(loom)`.

#[cfg(loom)]
pub(crate) use super::checker::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};
