//! Live: a process's live channel, seen from outside.
//!
//! ```text
//! PID, FILE ── find: which file is it? ── channel: read, ask ── figures: bytes -> Figures
//! ```
//! The file belongs to a process that may end, hang, or be hostile: nothing in it is believed before its sum fits, and
//! nothing here waits for an answer without end. Nothing is written before its figures were found whole.

mod channel;
mod figures;
mod find;

pub(crate) use channel::{Channel, Silent};
pub(crate) use find::{Found, Subject, Waiting, find};
