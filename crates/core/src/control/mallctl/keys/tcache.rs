//! `tcache.*`: explicit caches.
//!
//! An id that no cache has is refused, where the original leaves open what happens.

use super::super::row::{Access, Kind, Row, read, row};
use super::{Call, Refusal};
use crate::arena::explicit;
use crate::thread::{Inside, explicit as objects};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Create,
    Flush,
    Destroy,
}

const fn key(key: Key) -> super::Key {
    super::Key::Tcache(key)
}

pub(super) const ROWS: &[Row] = &[
    read("tcache.create", Kind::U32, key(Key::Create)),
    row("tcache.flush", Access::Write, Kind::U32, key(Key::Flush)),
    row(
        "tcache.destroy",
        Access::Write,
        Kind::U32,
        key(Key::Destroy),
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    if key == Key::Create {
        call.request.must_read::<u32>()?;
        let id = explicit::create().ok_or(Refusal::Failed)?;
        return call.request.give(id as u32);
    }
    let id = call.request.take::<u32>()?.ok_or(Refusal::Invalid)? as usize;
    let done = if key == Key::Flush {
        objects::flush(id, Inside(call.own))
    } else {
        objects::destroy(id, Inside(call.own))
    };
    done.then_some(()).ok_or(Refusal::Failed)
}
