//! `arena.<i>.*`: arenas, one by one or all.
//!
//! Those made by request have all of it for themselves. Automatic arenas share one page heap: purging any of them purges it, and they have one pair of decay times.

use super::super::index::Arenas;
use super::super::row::{Kind, Row, both, deed, read};
use super::{Call, Refusal};
use crate::arena::manual::{self, ArenaRef};
use crate::control::{options, upkeep};
use crate::extent::{HEAP, hooks};
use crate::options::Dss;
use crate::sys::clock;
use crate::thread::Inside;
use core::ffi::CStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Initialized,
    Decay,
    Purge,
    Reset,
    Destroy,
    Dss,
    DirtyDecayMs,
    MuzzyDecayMs,
}

const fn key(key: Key) -> super::Key {
    super::Key::Arena(key)
}

pub(super) const ROWS: &[Row] = &[
    read("arena.<i>.initialized", Kind::Bool, key(Key::Initialized)),
    deed("arena.<i>.decay", key(Key::Decay)),
    deed("arena.<i>.purge", key(Key::Purge)),
    deed("arena.<i>.reset", key(Key::Reset)),
    deed("arena.<i>.destroy", key(Key::Destroy)),
    both("arena.<i>.dss", Kind::Text, key(Key::Dss)),
    both(
        "arena.<i>.dirty_decay_ms",
        Kind::Signed,
        key(Key::DirtyDecayMs),
    ),
    both(
        "arena.<i>.muzzy_decay_ms",
        Kind::Signed,
        key(Key::MuzzyDecayMs),
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let arenas = Arenas::of(call.indexes[0]);
    match key {
        Key::Initialized => {
            let there = match arenas {
                Arenas::One(_) | Arenas::Manual(_) | Arenas::All => true,
                Arenas::Absent => false,
                Arenas::Destroyed => manual::is_any_destroyed(),
            };
            call.request.give_bool(there)
        }
        Key::Decay | Key::Purge => {
            let purge = key == Key::Purge;
            match arenas {
                // There is nothing to do for those that are not there, and it is done.
                Arenas::Absent | Arenas::Destroyed => {}
                Arenas::Manual(arena) => {
                    arena.age(clock::now_ns(), purge, Inside(call.own));
                }
                Arenas::One(_) => upkeep::age_automatic(purge),
                Arenas::All if purge => {
                    upkeep::purge(call.own);
                }
                Arenas::All => {
                    upkeep::age_automatic(false);
                    manual::age_all(Inside(call.own));
                }
            }
            Ok(())
        }
        Key::Reset | Key::Destroy => {
            // Automatic arenas stay.
            let Arenas::Manual(arena) = arenas else {
                return Err(Refusal::Failed);
            };
            if key == Key::Reset {
                arena.reset(Inside(call.own));
            } else if !arena.destroy(Inside(call.own)) {
                return Err(Refusal::Failed);
            }
            Ok(())
        }
        Key::Dss => dss(call, arenas),
        Key::DirtyDecayMs | Key::MuzzyDecayMs => match arenas {
            Arenas::One(_) => decay_ms(call, key == Key::DirtyDecayMs),
            Arenas::Manual(arena) => own_decay_ms(call, arena, key == Key::DirtyDecayMs),
            Arenas::All | Arenas::Absent | Arenas::Destroyed => Err(Refusal::Failed),
        },
    }
}

/// Reads and writes the page heap's decay time.
pub(super) fn decay_ms(call: &mut Call, dirty: bool) -> Result<(), Refusal> {
    let (dirty_ms, muzzy_ms) = HEAP.decay_ms();
    call.request.give(if dirty { dirty_ms } else { muzzy_ms })?;
    let Some(wanted) = call.request.take::<isize>()? else {
        return Ok(());
    };
    if !options::is_decay_ms(wanted as i64) {
        return Err(Refusal::Failed);
    }
    upkeep::change_decay_ms(
        if dirty { wanted } else { dirty_ms },
        if dirty { muzzy_ms } else { wanted },
    );
    Ok(())
}

/// Reads and writes the decay time of an arena made by request.
fn own_decay_ms(call: &mut Call, arena: ArenaRef, dirty: bool) -> Result<(), Refusal> {
    let (dirty_ms, muzzy_ms) = arena.decay_times();
    call.request.give(if dirty { dirty_ms } else { muzzy_ms })?;
    let Some(wanted) = call.request.take::<isize>()? else {
        return Ok(());
    };
    if !options::is_decay_ms(wanted as i64) {
        return Err(Refusal::Failed);
    }
    arena.set_decay_ms(dirty, wanted, Inside(call.own));
    Ok(())
}

/// How a choice is called.
pub(super) fn dss_name(dss: Dss) -> &'static CStr {
    match dss {
        Dss::Disabled => c"disabled",
        Dss::Primary => c"primary",
        Dss::Secondary => c"secondary",
    }
}

fn dss(call: &mut Call, arenas: Arenas) -> Result<(), Refusal> {
    // SAFETY: the caller's promise about this key: a C string or null.
    let text = unsafe { call.request.take_text() }?.flatten();
    let wanted = match text {
        None => None,
        Some(b"disabled") => Some(Dss::Disabled),
        Some(b"primary") => Some(Dss::Primary),
        Some(b"secondary") => Some(Dss::Secondary),
        Some(_) => return Err(Refusal::Invalid),
    };
    match arenas {
        Arenas::Absent | Arenas::Destroyed => return Err(Refusal::Failed),
        Arenas::Manual(arena) => {
            if let Some(wanted) = wanted {
                hooks::set_dss(arena.index(), wanted);
            }
            let holds = hooks::dss(arena.index()).unwrap_or(Dss::Disabled);
            return call.request.give_text(dss_name(holds));
        }
        Arenas::One(_) | Arenas::All => {}
    }
    if let Some(wanted) = wanted {
        upkeep::change_dss(wanted);
    }
    // As in the original: what holds from now on.
    call.request.give_text(dss_name(HEAP.dss()))
}
