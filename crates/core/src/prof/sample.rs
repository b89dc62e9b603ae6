//! Sample: a live object that was chosen.
//!
//! V1  A sample of an earlier era counts nowhere: what its links named is gone.
//! V2  A sample stands in its stack's list as long as the object lives.

use super::list::{Listed, Neighbours};
use super::recent::Recent;
use super::record::{Handle, Link};
use super::stack::Tally;
use core::cell::Cell;
use core::num::NonZeroU32;

/// A live sampled object's record, for keeping with the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Sample(NonZeroU32);

impl Sample {
    /// Its number, never 0.
    pub(crate) const fn number(self) -> u32 {
        self.0.get()
    }

    /// The sample with a number that [`Sample::number`] gave; 0 is none.
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    pub(super) fn handle(self) -> Option<Handle<Life>> {
        Handle::from_number(self.number())
    }

    pub(super) fn of(life: Handle<Life>) -> Option<Self> {
        Self::from_number(life.number())
    }
}

/// What is kept of it.
pub(super) struct Life {
    /// Its stack and thread are the tally's.
    pub(super) tally: Handle<Tally>,
    pub(super) era: u32,
    pub(super) listed: Neighbours<Life>,
    /// How often `jemoxide.prof.generation` had been raised.
    pub(super) generation: u32,
    pub(super) recent: Link<Recent>,
    /// The address below, the tag in the highest 16 bits.
    place: u64,
    pub(super) usable: usize,
    pub(super) requested: Cell<usize>,
    pub(super) born_ns: u64,
}

const _: () = assert!(size_of::<Life>() <= crate::meta::UNIT);

/// The list of a stack's samples.
pub(super) struct OfStack;

impl Listed<OfStack> for Life {
    fn neighbours(&self) -> &Neighbours<Self> {
        &self.listed
    }
}

impl Life {
    const LG_TAG: u32 = 48;

    pub(super) fn new(
        event: &super::Event<'_>,
        tally: Handle<Tally>,
        era: u32,
        born_ns: u64,
        tag: u16,
        generation: u32,
    ) -> Self {
        Self {
            tally,
            era,
            listed: Neighbours::none(),
            generation,
            recent: Cell::new(None),
            place: event.address as u64 & ((1 << Self::LG_TAG) - 1)
                | u64::from(tag) << Self::LG_TAG,
            usable: event.usable,
            requested: Cell::new(event.requested),
            born_ns,
        }
    }

    pub(super) fn address(&self) -> usize {
        (self.place & ((1 << Self::LG_TAG) - 1)) as usize
    }

    pub(super) fn tag(&self) -> u16 {
        (self.place >> Self::LG_TAG) as u16
    }
}
