//! `arenas.*`: what all arenas have in common, and size classes.

use super::super::row::{Access, Kind, Row, both, read, row};
use super::{Call, Refusal, arena};
use crate::arena::{ArenaIndex, arena_of, hardened, manual};
use crate::size::{
    CACHED_CLASSES, CLASSES, HUGE, PAGE, QUANTUM, SMALL_CLASSES, size_of_class, slab_pages,
    slab_slots,
};
use crate::thread::cache::slots;
use core::ffi::c_char;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Narenas,
    DirtyDecayMs,
    MuzzyDecayMs,
    Quantum,
    Page,
    Hugepage,
    TcacheMax,
    Nbins,
    Nhbins,
    BinSize,
    BinNregs,
    BinSlabSize,
    BinNshards,
    Nlextents,
    LextentSize,
    Lookup,
}

const fn key(key: Key) -> super::Key {
    super::Key::Arenas(key)
}

pub(super) const ROWS: &[Row] = &[
    read("arenas.narenas", Kind::U32, key(Key::Narenas)),
    both(
        "arenas.dirty_decay_ms",
        Kind::Signed,
        key(Key::DirtyDecayMs),
    ),
    both(
        "arenas.muzzy_decay_ms",
        Kind::Signed,
        key(Key::MuzzyDecayMs),
    ),
    read("arenas.quantum", Kind::Size, key(Key::Quantum)),
    read("arenas.page", Kind::Size, key(Key::Page)),
    read("arenas.hugepage", Kind::Size, key(Key::Hugepage)),
    read("arenas.tcache_max", Kind::Size, key(Key::TcacheMax)),
    read("arenas.nbins", Kind::U32, key(Key::Nbins)),
    read("arenas.nhbins", Kind::U32, key(Key::Nhbins)),
    read("arenas.bin.<i>.size", Kind::Size, key(Key::BinSize)),
    read("arenas.bin.<i>.nregs", Kind::U32, key(Key::BinNregs)),
    read(
        "arenas.bin.<i>.slab_size",
        Kind::Size,
        key(Key::BinSlabSize),
    ),
    read("arenas.bin.<i>.nshards", Kind::U32, key(Key::BinNshards)),
    read("arenas.nlextents", Kind::U32, key(Key::Nlextents)),
    read("arenas.lextent.<i>.size", Kind::Size, key(Key::LextentSize)),
    row("arenas.lookup", Access::Both, Kind::Other, key(Key::Lookup)),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let class = call.indexes[0];
    let request = &mut call.request;
    match key {
        Key::Narenas => request.give(manual::end() as u32),
        // All automatic arenas are there from the start and share their pages: what holds for later ones holds for
        // these.
        Key::DirtyDecayMs => arena::decay_ms(call, true),
        Key::MuzzyDecayMs => arena::decay_ms(call, false),
        Key::Quantum => request.give(QUANTUM),
        Key::Page => request.give(PAGE),
        Key::Hugepage => request.give(HUGE),
        Key::TcacheMax => request.give(size_of_class(slots::default_max())),
        Key::Nbins => request.give(SMALL_CLASSES as u32),
        Key::Nhbins => request.give(CACHED_CLASSES as u32),
        Key::BinSize => request.give(size_of_class(class)),
        Key::BinNregs => request.give(slab_slots(class % SMALL_CLASSES) as u32),
        Key::BinSlabSize => request.give(slab_pages(class % SMALL_CLASSES) * PAGE),
        // One in each arena.
        Key::BinNshards => request.give(1u32),
        Key::Nlextents => request.give((CLASSES - SMALL_CLASSES) as u32),
        Key::LextentSize => request.give(size_of_class(SMALL_CLASSES + class)),
        Key::Lookup => {
            let address = request.take::<*const c_char>()?.ok_or(Refusal::Invalid)?;
            let marked =
                manual::arena_of(address.cast()).or_else(|| hardened::arena_of(address.cast()));
            let index = marked.or_else(|| arena_of(address.cast()).map(ArenaIndex::index));
            request.give(index.ok_or(Refusal::Invalid)? as u32)
        }
    }
}
