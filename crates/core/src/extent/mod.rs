//! Pages: which are whose, which are idle, and when their memory goes back.
//!
//! ```text
//! heap ──> state: runs within a huge page ──> bits, descriptor
//!   |        ├── free_runs: whole huge pages      span: across their borders
//!   |        └── grow: more from the system       giant: runs of 1 GiB and more
//!   └──> purge: memory back to the system ──> decay, peak, pressure: when
//!   └──> moving: idle memory to where it is needed      count: which pages count, and the limit
//!   └──> earn: dense huge pages are one for the system too ──> huge: and what that may cost
//!   └──> fence: pages behind large objects that nobody may touch
//!   └──> survey: what of it has memory, page by page     inventory: idle runs by length, huge pages by use
//! page_map: address to class, record, descriptor
//! ```
//! One heap serves all automatic arenas, so that an idle page serves whoever comes next.

mod adapt;
mod bits;
mod count;
mod decay;
mod descriptor;
mod earn;
pub(crate) mod fence;
mod free_runs;
mod giant;
mod grow;
mod heap;
pub(crate) mod hooks;
mod huge;
mod inventory;
mod moving;
pub(crate) mod page_map;
mod peak;
pub(crate) mod pressure;
mod purge;
mod span;
mod state;
mod survey;

#[cfg(test)]
mod check;
#[cfg(test)]
mod tests;

pub(crate) use decay::Decay;
pub(crate) use earn::Earner;
pub(crate) use heap::{Figures, HEAP, PurgeFigures, Purpose, Run};
pub(crate) use inventory::{Hugepages, Inventory, RUN_CLASSES, RunState};
pub use pressure::Pressure;
pub(crate) use purge::DirtyBound;
pub(crate) use survey::Residents;
