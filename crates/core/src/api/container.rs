//! Container: what the control group leaves to this process, for operators and programs that ask.

use super::slow;
use crate::control::container;
pub use crate::extent::Pressure;
use crate::sys::clock;

/// Processors and memory of the container, as found at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Container {
    /// Processors by affinity mask and quota.
    pub cpus: usize,
    /// The tightest limit on memory in bytes. `None`: no limit, none that can be read, or `cgroup:false`.
    pub memory_limit: Option<u64>,
    /// Bytes used by the group with the least left of its limit; 0 without a limit.
    pub memory_used: u64,
    /// How near memory is to its end.
    pub pressure: Pressure,
}

/// Reads what the container allows and uses. Takes some dozens of microseconds.
pub fn container() -> Container {
    let figures = slow::enter(|_| container::figures(clock::now_ns()));
    Container {
        cpus: figures.cpus,
        memory_limit: figures.memory_limit,
        memory_used: figures.memory_used,
        pressure: figures.pressure,
    }
}
