//! `thread.*`: the calling thread's own.

use super::super::row::{Access, Kind, Row, both, deed, row};
use super::{Call, Refusal};
use crate::arena::{ArenaIndex, automatic};
use crate::control::upkeep;
use crate::thread::registry;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Arena,
    CacheEnabled,
    CacheFlush,
    Idle,
}

const fn key(key: Key) -> super::Key {
    super::Key::Thread(key)
}

pub(super) const ROWS: &[Row] = &[
    both("thread.arena", Kind::U32, key(Key::Arena)),
    both("thread.tcache.enabled", Kind::Bool, key(Key::CacheEnabled)),
    row(
        "thread.tcache.flush",
        Access::Own,
        Kind::None,
        key(Key::CacheFlush),
    ),
    deed("thread.idle", key(Key::Idle)),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let own = call.own;
    match key {
        Key::Arena => {
            let wanted = call.request.take::<u32>()?;
            let before = own.map_or(ArenaIndex::FIRST, |cache| cache.arena());
            call.request.give(before.index() as u32)?;
            match wanted {
                Some(wanted) if wanted as usize != before.index() => {
                    let wanted = wanted as usize;
                    // A thread past its end is served by the first.
                    let cache = own.filter(|_| wanted < automatic());
                    cache
                        .ok_or(Refusal::Failed)?
                        .set_arena(ArenaIndex::new(wanted));
                    Ok(())
                }
                _ => Ok(()),
            }
        }
        Key::CacheEnabled => {
            let before = own.is_some_and(|cache| cache.is_enabled());
            match (call.request.take_bool()?, own) {
                (Some(wanted), Some(cache)) => registry::set_enabled(cache, wanted),
                (Some(true), None) => return Err(Refusal::Failed),
                _ => {}
            }
            call.request.give_bool(before)
        }
        Key::CacheFlush => {
            let cache = own.filter(|cache| cache.is_enabled());
            let cache = cache.ok_or(Refusal::Failed)?;
            call.request.only_reads()?;
            call.request.only_writes()?;
            upkeep::flush(Some(cache));
            Ok(())
        }
        Key::Idle => {
            upkeep::idle(own);
            Ok(())
        }
    }
}
