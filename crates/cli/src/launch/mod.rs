//! Launch: from "this program, please" to its exit status, with the library preloaded.
//!
//! ```text
//! library      where is libjemoxide.so?           \
//! program      can it be preloaded into PROGRAM?   >  environment  ->  child  ->  Ended
//! scratch      a private directory for reports    /   LD_PRELOAD,      start, forward
//!                                                     JEMOXIDE_CONF    signals, wait4
//! ```

pub(crate) mod child;
pub(crate) mod environment;
pub(crate) mod library;
pub(crate) mod program;
pub(crate) mod scratch;
mod signals;

pub(crate) use child::{Ended, HowEnded};
pub(crate) use library::Library;
pub(crate) use scratch::Scratch;
