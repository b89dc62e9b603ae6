//! Heap profiles: read, write, symbolise and look at them.
//!
//! ```text
//! heap_v2 (jemalloc's, jemoxide's) --+                                   +--> heap_v2
//! pprof (.pb, .pb.gz) ---------------+--> Profile --> symbols --> views  +--> pprof
//! collapsed stacks ------------------+                                   +--> collapsed
//! ```
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use jemoxide_profile::{Measure, Profile};
//!
//! let profile = Profile::read(b"main;serve;parse 4096\nmain;serve 1024\n")?;
//! assert_eq!(profile.total(Measure::Live).bytes, 5120.0);
//! assert_eq!(profile.to_collapsed(Measure::Live)?, "main;serve 1024\nmain;serve;parse 4096\n");
//! # Ok(())
//! # }
//! ```
//! For a dump with addresses, [`symbols::symbolize`] finds functions and lines in the files that the process had mapped,
//! and [`Profile::hide_allocator`] leaves out the frames inside the allocator. All numbers are estimates from samples:
//! [`Amount`] says how good.
//!
//! The allocator never runs this code: it writes its dumps through fixed buffers. This is for the command and for
//! services that serve profiles of themselves.

#![forbid(unsafe_code)]

mod amount;
mod build;
mod frames;
mod merge;
mod model;
mod proto;
mod read;
pub mod symbols;
pub mod views;
mod write;

pub use amount::Amount;
pub use frames::{Frame, Place};
pub use model::{
    Call, ClassUse, Form, Function, FunctionId, Known, Lifetime, Location, LocationId, Measure,
    Module, ModuleId, Object, Peak, Profile, Stack, TagShare, Thread, ThreadId, ThreadShare, Time,
};
pub use read::{UNPACKED_MAX, Unreadable};
pub use write::Unwritable;
