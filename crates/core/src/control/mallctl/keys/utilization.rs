//! `experimental.utilization.*`: how full the slab is that an object lies in, for programs that defragment.
//!
//! ```text
//! query         address          -> slabcur | nfree | nregs | size | bin_nfree | bin_nregs
//! batch_query   address, ... (n) -> nfree | nregs | size, ... (n)
//! ```
//! An address of a large object is answered as that of a slab with one region, which is taken; one that is not ours by
//! zeros. Where the next object of the class comes from, `slabcur`, is the fullest slab with room.

use super::super::row::{Access, Kind, Row, row};
use super::{Call, Refusal};
use crate::arena::bin::{self, Utilisation};
use crate::arena::{large, manual};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Query,
    BatchQuery,
}

const fn own(name: &'static str, key: Key) -> Row {
    row(name, Access::Own, Kind::Other, super::Key::Utilization(key))
}

pub(super) const ROWS: &[Row] = &[
    own("experimental.utilization.query", Key::Query),
    own("experimental.utilization.batch_query", Key::BatchQuery),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::Query => call.request.answer_each(1, |address| {
            let found = look(address);
            [
                found.next_slab.addr(),
                found.free,
                found.slots,
                found.bytes,
                found.bin_free,
                found.bin_slots,
            ]
        }),
        Key::BatchQuery => call.request.answer_each(usize::MAX, |address| {
            let found = look(address);
            [found.free, found.slots, found.bytes]
        }),
    }
}

fn look(address: *const u8) -> Utilisation {
    if let Some(found) = bin::utilisation(address).or_else(|| manual::utilisation(address)) {
        return found;
    }
    match large::inspect(address.cast_mut()) {
        Ok(bytes) => Utilisation {
            slots: 1,
            bytes,
            ..Utilisation::NONE
        },
        Err(_) => Utilisation::NONE,
    }
}
