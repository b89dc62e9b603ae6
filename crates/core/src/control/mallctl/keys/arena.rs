//! `arena.<i>.*`: arenas, one by one or all.
//!
//! Automatic arenas share one page heap: purging any of them purges it, and they have one pair of decay times.

use super::super::index::Arenas;
use super::super::row::{Kind, Row, both, deed, read};
use super::{Call, Refusal};
use crate::control::{options, upkeep};
use crate::extent::HEAP;
use crate::options::Dss;
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
        Key::Initialized => call.request.give_bool(arenas != Arenas::Destroyed),
        // None was destroyed: there is nothing to do for those, and it is done.
        Key::Decay | Key::Purge if arenas == Arenas::Destroyed => Ok(()),
        Key::Decay => {
            upkeep::age_all();
            Ok(())
        }
        Key::Purge => {
            upkeep::purge();
            Ok(())
        }
        // Automatic arenas stay.
        Key::Reset | Key::Destroy => Err(Refusal::Failed),
        Key::Dss => dss(call, arenas),
        Key::DirtyDecayMs | Key::MuzzyDecayMs => match arenas {
            Arenas::One(_) => decay_ms(call, key == Key::DirtyDecayMs),
            Arenas::All | Arenas::Destroyed => Err(Refusal::Failed),
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
    if arenas == Arenas::Destroyed {
        return Err(Refusal::Failed);
    }
    if let Some(wanted) = wanted {
        upkeep::change_dss(wanted);
    }
    // As in the original: what holds from now on.
    call.request.give_text(dss_name(HEAP.dss()))
}
