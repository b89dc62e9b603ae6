//! testkit: what the tests of jemoxide stand on.
//!
//! The library under test is never linked into a test. It is built once, the way it ships, and
//! child processes run on it: preloaded, linked, or linked in statically.
//!
//! ```text
//!  tests/*.rs ---> artifacts   builds libjemoxide.so / .a in a target folder of its own
//!        |-------> compiler    C and C++ programs under programs/ -> executables
//!        |-------> linkage     the ways a program gets the library
//!        |-------> door        the C functions of this very process
//!        |-------> control     mallctl of this very process
//!        |-------> child       runs one, under a watchdog and limits; reads how it ended
//!        |-------> folder      a temporary folder of a test's own
//!        |-------> original    the installed jemalloc, to compare with
//!        |-------> misuse      the misuse suite's programs, and what became of each case
//!        |-------> naive       random operations against a list of live ranges
//!        |-------> refusal     runs one whose library's system calls fail, by number
//!        '-------> facts       tables of the C surface, as data
//! ```
//!
//! T1  A missing tool never skips silently: one loud line on standard error says what was not tested.
//! T2  A child that hangs is killed and is a failure, shown with all it printed so far.
//! T3  A child's environment holds no allocator setting that the test did not put there.

pub mod artifacts;
pub mod child;
pub mod compiler;
pub mod control;
pub mod door;
pub mod facts;
pub mod folder;
pub mod linkage;
pub mod misuse;
pub mod naive;
pub mod original;
pub mod refusal;
