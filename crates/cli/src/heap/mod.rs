//! Heap: the commands that look at heap profiles.
//!
//! ```text
//! FILE... -- load --> Profile with names --+-- report/    screens and JSON
//!                                          |-- diff       two profiles
//!                                          |-- flame      pictures and pages
//!                                          `-- convert    another form
//! ```
//! `names` makes long names fit; `paths` draws call paths, for all of them and for `jemoxide run --profile`.

pub(crate) mod convert;
pub(crate) mod diff;
pub(crate) mod file;
pub(crate) mod flame;
pub(crate) mod json;
pub(crate) mod load;
pub(crate) mod names;
pub(crate) mod paths;
pub(crate) mod report;

use jemoxide_profile::{Amount, Measure};

use crate::arguments::heap::By;
use crate::screen::numbers::{bytes, share};

impl By {
    /// The same as the profile counts it.
    pub(crate) fn measure(self) -> Measure {
        match self {
            Self::Live => Measure::Live,
            Self::Peak => Measure::Peak,
            Self::Cumulative => Measure::Cumulative,
        }
    }

    /// For titles: `live bytes`.
    pub(crate) fn bytes(self) -> &'static str {
        match self {
            Self::Live => "live bytes",
            Self::Peak => "bytes live at the peak",
            Self::Cumulative => "bytes allocated in all",
        }
    }
}

/// An estimate's bytes: `12.3 MiB`.
pub(crate) fn size(amount: Amount) -> String {
    bytes(amount.bytes.round() as u64)
}

/// Its share of `whole`, by bytes.
pub(crate) fn size_share(amount: Amount, whole: Amount) -> String {
    share(amount.bytes.round() as u64, whole.bytes.round() as u64)
}

/// Standard error of the bytes in percent of them. `None`: not known; `0 %`: exact.
pub(crate) fn error(amount: Amount) -> Option<String> {
    if amount.samples <= 0.0 || amount.bytes <= 0.0 {
        return None;
    }
    let percent = amount.error() * 100.0 / amount.bytes;
    Some(match percent {
        100.0.. => "100 %".to_owned(),
        10.0.. => format!("{percent:.0} %"),
        0.05.. => format!("{percent:.1} %"),
        _ => "0 %".to_owned(),
    })
}
