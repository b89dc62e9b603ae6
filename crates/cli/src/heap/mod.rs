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

use jemoxide_profile::{Amount, Measure, Profile};

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

/// Why there is nothing to show by `measure`, and which option shows something; `None`: there is something. Programs that
/// freed all have nothing live at their end.
pub(crate) fn why_empty(profile: &Profile, measure: Measure) -> Option<String> {
    if !profile.total(measure).is_zero() {
        return None;
    }
    let (what, others) = match measure {
        Measure::Peak => ("Nothing was live at the peak", ["live", "cumulative"]),
        Measure::Cumulative => ("Nothing was allocated", ["peak", "live"]),
        _ => ("Nothing is live at the end", ["peak", "cumulative"]),
    };
    let of = |name: &str| match name {
        "peak" => Measure::Peak,
        "cumulative" => Measure::Cumulative,
        _ => Measure::Live,
    };
    let has_some =
        |name: &str| of(name).is_known(profile.known()) && !profile.total(of(name)).is_zero();
    Some(match others.into_iter().find(|name| has_some(name)) {
        Some(name) => format!("{what}; try --by {name}."),
        None => format!("{what}: no sample was taken."),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_freed_all_is_told_where_to_look() {
        let held = Profile::read(b"main;load 10\n").expect("well formed");
        assert_eq!(why_empty(&held, Measure::Live), None);
        let dump =
            b"heap_v2/1\n  t*: 0: 0 [2: 100]\n@ 0x10\n  t*: 0: 0 [2: 100]\n\nMAPPED_LIBRARIES:\n";
        let freed = Profile::read(dump).expect("well formed");
        let told = why_empty(&freed, Measure::Live).expect("nothing live");
        assert_eq!(told, "Nothing is live at the end; try --by cumulative.");
        let told = why_empty(&Profile::default(), Measure::Live).expect("nothing");
        assert!(told.contains("no sample"), "{told}");
    }
}
