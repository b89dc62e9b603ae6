//! Write: a profile in one of three forms.
//!
//! | form | keeps | leaves out |
//! | --- | --- | --- |
//! | heap_v2 | addresses, modules, threads, all details | names of functions |
//! | pprof | functions, lines, modules with build ids; live, cumulative, peak | threads, lifetimes, tags, ages, classes |
//! | collapsed | names of functions, one number | everything else |

mod collapsed;
mod heap_v2;
mod pprof;

use std::fmt;

use crate::model::{Measure, Profile};

/// Why a profile cannot be written in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable(&'static str);

impl fmt::Display for Unwritable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.0)
    }
}

impl std::error::Error for Unwritable {}

impl Profile {
    /// As a heap dump that this crate, jeprof and pprof read; with the details where there are any.
    ///
    /// # Errors
    /// The profile has no addresses (it was read from collapsed stacks), or was merged from several processes, whose
    /// addresses mean different things.
    pub fn to_heap_v2(&self) -> Result<Vec<u8>, Unwritable> {
        heap_v2::write(self)
    }

    /// As pprof's protobuf, packed with gzip. Names of functions are in it when the profile was symbolised; what
    /// [`Profile::hide_allocator`] hid is not.
    pub fn to_pprof(&self) -> Vec<u8> {
        pprof::write(self)
    }

    /// As collapsed stacks of `measure` in bytes, sorted. What [`Profile::hide_allocator`] hid is left out.
    pub fn to_collapsed(&self, measure: Measure) -> String {
        collapsed::write(self, measure)
    }
}
