//! View: which bytes make a frame wide.

use jemoxide_profile::{Measure, Profile};

/// Which bytes a graph is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Allocated and not freed.
    #[default]
    Live,
    /// Live when most was live.
    Peak,
    /// Allocated since the beginning, freed or not.
    Cumulative,
    /// Free slots in slabs that live objects keep from going: see [`crate::Waste`].
    Waste,
}

impl View {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Live, Self::Peak, Self::Cumulative, Self::Waste];

    /// Its name in one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Peak => "peak",
            Self::Cumulative => "cumulative",
            Self::Waste => "waste",
        }
    }

    /// The view of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    /// What the bytes are, and how they are computed, in whole sentences.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Live => "Bytes allocated and not freed, estimated from samples.",
            Self::Peak => "Bytes that were live when most was live, estimated from samples.",
            Self::Cumulative => {
                "Bytes allocated since profiling began, freed or not, estimated from samples."
            }
            Self::Waste => {
                "Bytes of free slots in slabs that are partly in use. A slab goes back to the system when its last object \
                 is freed, so its live objects pin its free slots. For each size class the free bytes of all its slabs \
                 are shared out among the stacks of its live sampled objects, in proportion to how many objects each \
                 stack holds. Which objects share a slab is not known: a stack of few long-lived objects among many \
                 short-lived ones is charged too little. Classes without a live sample are charged to nobody."
            }
        }
    }

    /// The profile's amount behind it; `None` for waste.
    pub(crate) const fn measure(self) -> Option<Measure> {
        match self {
            Self::Live => Some(Measure::Live),
            Self::Peak => Some(Measure::Peak),
            Self::Cumulative => Some(Measure::Cumulative),
            Self::Waste => None,
        }
    }

    /// Why `profile` does not have it, and what would; `None`: it does.
    pub(crate) fn missing_in(self, profile: &Profile) -> Option<&'static str> {
        let known = profile.known();
        let is_known = match self.measure() {
            Some(measure) => measure.is_known(known),
            None => known.ages && !profile.classes().is_empty(),
        };
        if is_known {
            return None;
        }
        Some(match self {
            Self::Live => "The profile has no live bytes.",
            Self::Peak => {
                "The profile does not tell what was live at the peak. Take one with prof_details:true, or by jemoxide run \
                 --profile."
            }
            Self::Cumulative => {
                "The profile does not tell what was freed again. Take one with prof_accum:true, or by jemoxide run \
                 --profile."
            }
            Self::Waste => {
                "The profile does not tell which objects lie in which size class. Take one with prof_details:true, or by \
                 jemoxide run --profile."
            }
        })
    }
}
