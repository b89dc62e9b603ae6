//! Write: a profile in one of three forms.
//!
//! | form | keeps | leaves out |
//! | --- | --- | --- |
//! | heap_v2 | addresses, modules, threads, all details | names of functions, unless there are no addresses |
//! | pprof | functions, lines, modules with build ids; live, cumulative, peak; labels | lifetimes, single objects, classes |
//! | collapsed | names of functions, one number | everything else |

mod collapsed;
mod heap_v2;
mod labels;
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
    /// A profile without addresses (one read from collapsed stacks) gets made up ones, and the names of its functions in front:
    /// so this crate and jeprof read it. Where numbers of objects are not known, each stack has one.
    ///
    /// # Errors
    /// The profile was merged from several processes, whose addresses mean different things.
    pub fn to_heap_v2(&self) -> Result<Vec<u8>, Unwritable> {
        heap_v2::write(self)
    }

    /// As pprof's protobuf, packed with gzip as is usual. Names of functions are in it when the profile was symbolised; what
    /// [`Profile::hide_allocator`] hid is not. Threads, tags and ages are labels of samples; warnings are comments.
    pub fn to_pprof(&self) -> Vec<u8> {
        pprof::packed(&self.to_pprof_unpacked())
    }

    /// The same, not packed.
    pub fn to_pprof_unpacked(&self) -> Vec<u8> {
        pprof::write(self)
    }

    /// As collapsed stacks of `measure` in bytes, sorted. What [`Profile::hide_allocator`] hid is left out.
    ///
    /// # Errors
    /// The text would be longer than [`crate::UNPACKED_MAX`].
    pub fn to_collapsed(&self, measure: Measure) -> Result<String, Unwritable> {
        collapsed::write(self, measure)
    }
}
