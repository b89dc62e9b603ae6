//! Arenas made by request: making them, their hooks, names and limits; many objects at once.
//!
//! Hooks on an automatic arena are refused: automatic arenas share their pages.

use super::super::Batch;
use super::super::index::Arenas;
use super::super::row::{Access, Kind, Row, both, row};
use super::{Call, Due, Refusal};
use crate::arena::ARENAS_MAX;
use crate::arena::manual::{self, ArenaRef, NAME};
use crate::ds::text::Line;
use crate::extent::HEAP;
use crate::extent::hooks::{self, Hooks};
use crate::size::PAGE;
use core::ffi::c_char;
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Create,
    CreateExtended,
    ExtentHooks,
    Name,
    RetainGrowLimit,
    OversizeThreshold,
    ActivePages,
    BatchAlloc,
}

const fn other(name: &'static str, access: Access, key: Key) -> Row {
    row(name, access, Kind::Other, super::Key::ByRequest(key))
}

const fn size(name: &'static str, key: Key) -> Row {
    both(name, Kind::Size, super::Key::ByRequest(key))
}

pub(super) const ROWS: &[Row] = &[
    other("arenas.create", Access::Own, Key::Create),
    other(
        "experimental.arenas_create_ext",
        Access::Own,
        Key::CreateExtended,
    ),
    other("arena.<i>.extent_hooks", Access::Both, Key::ExtentHooks),
    other("arena.<i>.name", Access::Both, Key::Name),
    size("arena.<i>.retain_grow_limit", Key::RetainGrowLimit),
    size("arena.<i>.oversize_threshold", Key::OversizeThreshold),
    other(
        "experimental.arenas.<i>.pactivep",
        Access::Own,
        Key::ActivePages,
    ),
    other("experimental.batch_alloc", Access::Own, Key::BatchAlloc),
];

/// What `experimental.arenas_create_ext` is given, as the original lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct Settings {
    hooks: *mut Hooks,
    /// Whether the arena's records come from the hooks too: ours never do, whatever this says.
    metadata_use_hooks: u8,
}

/// What `experimental.batch_alloc` is given.
#[repr(C)]
#[derive(Clone, Copy)]
struct Packet {
    objects: *mut *mut u8,
    count: usize,
    size: usize,
    flags: i32,
}

/// Names of automatic arenas; empty: the first one.
static NAMES: [[AtomicU8; NAME]; ARENAS_MAX] =
    [const { [const { AtomicU8::new(0) }; NAME] }; ARENAS_MAX];
/// Pages of automatic arenas but the first, which has those of all.
static NO_PAGES: AtomicUsize = AtomicUsize::new(0);

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let arenas = Arenas::of(call.indexes[0]);
    match key {
        Key::Create => {
            call.request.must_read::<u32>()?;
            let table = call.request.take::<*const c_char>()?;
            create(
                call,
                table.map_or(ptr::null_mut(), |table| table.cast_mut().cast()),
            )
        }
        Key::CreateExtended => {
            call.request.must_read::<u32>()?;
            // SAFETY: the caller's promise about this key: any bytes are such a structure.
            let settings = unsafe { call.request.take_struct::<Settings>() }?;
            create(
                call,
                settings.map_or(ptr::null_mut(), |settings| settings.hooks),
            )
        }
        Key::ExtentHooks => extent_hooks(call, arenas),
        Key::Name => name(call),
        Key::RetainGrowLimit => retain_grow_limit(call, arenas),
        Key::OversizeThreshold => oversize_threshold(call, arenas),
        Key::ActivePages => {
            if !call.request.reads_exactly::<usize>() {
                return Err(Refusal::Invalid);
            }
            call.request.only_reads()?;
            let place = match arenas {
                Arenas::Manual(arena) => arena.active_pages(),
                Arenas::One(0) => HEAP.active_pages(),
                _ => NO_PAGES.as_ptr(),
            };
            call.request.give(place.cast::<c_char>())
        }
        Key::BatchAlloc => {
            call.request.must_read::<usize>()?;
            // SAFETY: the caller's promise about this key: any bytes are such a structure.
            let packet = unsafe { call.request.take_struct::<Packet>() }?;
            let packet = packet.ok_or(Refusal::Invalid)?;
            call.due = Due::Batch(Batch {
                objects: packet.objects,
                count: packet.count,
                size: packet.size,
                flags: packet.flags,
                filled: call.request.old_place().cast(),
            });
            Ok(())
        }
    }
}

fn create(call: &mut Call, table: *mut Hooks) -> Result<(), Refusal> {
    let index = manual::create(table, HEAP.decay_ms(), HEAP.dss()).ok_or(Refusal::Exhausted)?;
    call.request.give(index as u32)
}

fn extent_hooks(call: &mut Call, arenas: Arenas) -> Result<(), Refusal> {
    let wanted = call.request.take::<*const c_char>()?;
    let wanted = wanted.map(|table| table.cast_mut().cast::<Hooks>());
    let before = match arenas {
        Arenas::Manual(arena) => Some(arena.hooks()).filter(|table| !table.is_null()),
        Arenas::One(_) => None,
        _ => return Err(Refusal::Failed),
    };
    match (wanted, arenas) {
        (Some(wanted), Arenas::Manual(arena)) => arena.set_hooks(wanted),
        (Some(wanted), _) if !hooks::is_default(wanted) => return Err(Refusal::Failed),
        _ => {}
    }
    let before = before.unwrap_or_else(hooks::table);
    call.request.give(before.cast_const().cast::<c_char>())
}

fn name(call: &mut Call) -> Result<(), Refusal> {
    let index = call.indexes[0];
    let arena = match Arenas::of(index) {
        Arenas::One(_) => None,
        Arenas::Manual(arena) => Some(arena),
        _ => return Err(Refusal::Invalid),
    };
    // SAFETY: the caller's promise about this key: a C string or null.
    let text = unsafe { call.request.take_text() }?.flatten();
    let wanted = text.map(|text| {
        let at = |at: usize| text.get(at).copied().filter(|_| at < NAME - 1);
        core::array::from_fn::<u8, NAME, _>(|index| at(index).unwrap_or(0))
    });
    if let Some(room) = call.request.take_place()? {
        let name = named(index, arena);
        // SAFETY: the caller's promise about this key: room for a name.
        unsafe { room.copy_from_nonoverlapping(name.as_ptr(), NAME) };
    }
    if let Some(wanted) = wanted {
        match arena {
            Some(arena) => arena.set_name(&wanted),
            None => {
                for (to, from) in NAMES[index % ARENAS_MAX].iter().zip(wanted) {
                    to.store(from, Ordering::Relaxed);
                }
            }
        }
    }
    Ok(())
}

/// What an arena is called, with a zero at its end.
fn named(index: usize, arena: Option<ArenaRef>) -> [u8; NAME] {
    if let Some(arena) = arena {
        return arena.name();
    }
    let mut name = core::array::from_fn(|at| NAMES[index % ARENAS_MAX][at].load(Ordering::Relaxed));
    if name[0] == 0 {
        let mut line = Line::new();
        line.text("auto_").decimal(index);
        for (to, &from) in name[..NAME - 1].iter_mut().zip(line.as_bytes()) {
            *to = from;
        }
    }
    name
}

fn retain_grow_limit(call: &mut Call, arenas: Arenas) -> Result<(), Refusal> {
    let arena = match arenas {
        Arenas::Manual(arena) => Some(arena),
        Arenas::One(_) => None,
        _ => return Err(Refusal::Failed),
    };
    if !crate::control::boot::options().retain {
        return Err(Refusal::Absent);
    }
    let wanted = call.request.take::<usize>()?;
    let before = arena.map_or(crate::size::MAX_SIZE, ArenaRef::grow_limit);
    match (wanted, arena) {
        (Some(wanted), _) if wanted < PAGE => return Err(Refusal::Failed),
        (Some(wanted), Some(arena)) => arena.set_grow_limit(wanted),
        // Automatic arenas grow as one: only the limit that they have can be honoured.
        (Some(wanted), None) if wanted < before => return Err(Refusal::Failed),
        _ => {}
    }
    call.request.give(before)
}

fn oversize_threshold(call: &mut Call, arenas: Arenas) -> Result<(), Refusal> {
    let arena = match arenas {
        Arenas::Manual(arena) => Some(arena),
        Arenas::One(_) => None,
        _ => return Err(Refusal::Failed),
    };
    call.request.give(arena.map_or(0, ArenaRef::oversize))?;
    match (call.request.take::<usize>()?, arena) {
        (Some(wanted), Some(arena)) => arena.set_oversize(wanted),
        // Pages of automatic arenas are never given up at once for being many.
        (Some(1..), None) => return Err(Refusal::Failed),
        _ => {}
    }
    Ok(())
}

const _: () = assert!(size_of::<Settings>() == 16 && size_of::<Packet>() == 32);
/// Indexes fit the flags of `mallocx`.
const _: () = assert!(manual::ARENAS_LIMIT < 1 << 12);
