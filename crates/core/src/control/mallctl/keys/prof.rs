//! `prof.*`, `thread.prof.*`, `experimental.prof_recent.*`, `jemoxide.prof.*`: the profiler.
//!
//! In a process that began without it, switches read false and everything else is absent, until `prof.active` is written
//! true: that starts the profiler.

use super::super::row::{Access, Kind, Row, both, read, row};
use super::{Call, Due, Refusal};
use crate::control::boot;
use crate::control::profiling::{self, Job};
use crate::prof::{self, ClassCounts, ThreadRef};
use crate::size::SMALL_CLASSES;
use crate::thread::CacheRef;
use core::ffi::{CStr, c_char};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    ThreadName,
    ThreadActive,
    ThreadActiveInit,
    Active,
    Dump,
    AtHighs,
    Prefix,
    Reset,
    Interval,
    LgSample,
    StartLog,
    StopLog,
    SmallLive,
    SmallEver,
    LargeLive,
    LargeEver,
    RecentsMost,
    Recents,
    Tag,
    Generation,
    Dropped,
}

const fn key(key: Key) -> super::Key {
    super::Key::Prof(key)
}

/// A row whose key looks at everything itself: it is absent before the start, whatever else is wrong.
const fn own(name: &'static str, kind: Kind, own: Key) -> Row {
    row(name, Access::Own, kind, key(own))
}

pub(super) const ROWS: &[Row] = &[
    own("thread.prof.name", Kind::Text, Key::ThreadName),
    both("thread.prof.active", Kind::Bool, key(Key::ThreadActive)),
    both(
        "prof.thread_active_init",
        Kind::Bool,
        key(Key::ThreadActiveInit),
    ),
    both("prof.active", Kind::Bool, key(Key::Active)),
    own("prof.dump", Kind::Text, Key::Dump),
    both("prof.gdump", Kind::Bool, key(Key::AtHighs)),
    own("prof.prefix", Kind::Text, Key::Prefix),
    own("prof.reset", Kind::Size, Key::Reset),
    read("prof.interval", Kind::U64, key(Key::Interval)),
    read("prof.lg_sample", Kind::Size, key(Key::LgSample)),
    own("prof.log_start", Kind::Text, Key::StartLog),
    own("prof.log_stop", Kind::None, Key::StopLog),
    read("prof.stats.bins.<i>.live", Kind::Other, key(Key::SmallLive)),
    read(
        "prof.stats.bins.<i>.accum",
        Kind::Other,
        key(Key::SmallEver),
    ),
    read(
        "prof.stats.lextents.<i>.live",
        Kind::Other,
        key(Key::LargeLive),
    ),
    read(
        "prof.stats.lextents.<i>.accum",
        Kind::Other,
        key(Key::LargeEver),
    ),
    own(
        "experimental.prof_recent.alloc_max",
        Kind::Signed,
        Key::RecentsMost,
    ),
    own(
        "experimental.prof_recent.alloc_dump",
        Kind::Other,
        Key::Recents,
    ),
    both("jemoxide.prof.tag", Kind::Other, key(Key::Tag)),
    both("jemoxide.prof.generation", Kind::U32, key(Key::Generation)),
    read("jemoxide.prof.dropped", Kind::U64, key(Key::Dropped)),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::ThreadName => thread_name(call),
        Key::ThreadActive => {
            let thread = own_thread(call);
            let before = thread.is_some_and(ThreadRef::is_active);
            switch(call, before, |is_active| {
                let thread = thread.ok_or(Refusal::Exhausted)?;
                thread.set_active(is_active);
                Ok(())
            })
        }
        Key::ThreadActiveInit => switch(call, prof::active_at_first(), |is_active| {
            prof::set_active_at_first(is_active);
            Ok(())
        }),
        Key::Active => {
            let before = prof::is_sampling();
            match call.request.take_bool()? {
                Some(true) if !prof::is_started() => {
                    profiling::start(true);
                    call.due = Due::Profile(Job::Arm);
                }
                Some(is_active) if prof::is_started() => {
                    prof::set_active(is_active);
                }
                _ => {}
            }
            call.request.give_bool(before)
        }
        Key::AtHighs => switch(call, profiling::is_at_highs(), |is_on| {
            profiling::set_at_highs(is_on);
            Ok(())
        }),
        Key::Dump => {
            let path = named(call)?;
            call.due = Due::Profile(Job::Dump(path));
            Ok(())
        }
        Key::StartLog => {
            let path = named(call)?;
            call.due = Due::Profile(Job::StartLog(path));
            Ok(())
        }
        Key::StopLog => {
            started()?;
            call.due = Due::Profile(Job::StopLog);
            Ok(())
        }
        Key::Prefix => {
            started()?;
            call.request.only_writes()?;
            // SAFETY: a text of that type, as the name says.
            let text = unsafe { call.request.take_text()? };
            profiling::set_prefix(text.flatten().ok_or(Refusal::Failed)?);
            Ok(())
        }
        Key::Reset => {
            started()?;
            call.request.only_writes()?;
            let lg_sample = call.request.take::<usize>()?;
            let lg_sample = lg_sample.map(|lg| lg.min(63) as u32);
            call.due = Due::Profile(Job::Reset(lg_sample));
            Ok(())
        }
        Key::Interval => {
            let interval = if prof::is_started() {
                prof::interval()
            } else {
                0
            };
            call.request.give(interval)
        }
        Key::LgSample => call.request.give(prof::lg_sample() as usize),
        Key::SmallLive => class_counts(call, 0, |counts| counts.live),
        Key::SmallEver => class_counts(call, 0, |counts| counts.cumulative),
        Key::LargeLive => class_counts(call, SMALL_CLASSES, |counts| counts.live),
        Key::LargeEver => class_counts(call, SMALL_CLASSES, |counts| counts.cumulative),
        Key::RecentsMost => {
            started()?;
            let before = prof::recents().map_or(-1, |most| most as isize);
            if let Some(most) = call.request.take::<isize>()? {
                if most < -1 {
                    return Err(Refusal::Invalid);
                }
                prof::set_recents(usize::try_from(most).ok());
            }
            call.request.give(before)
        }
        Key::Recents => {
            started()?;
            call.request.only_writes()?;
            let [writer, word] = call.request.take::<[usize; 2]>()?.ok_or(Refusal::Invalid)?;
            call.due = Due::Profile(Job::Recents(writer, word));
            Ok(())
        }
        Key::Tag => {
            started()?;
            let thread = own_thread(call).ok_or(Refusal::Exhausted)?;
            let wanted = call.request.take::<u16>()?;
            call.request.give(thread.tag())?;
            if let Some(tag) = wanted {
                thread.set_tag(tag);
            }
            Ok(())
        }
        // As an epoch: a write, of whatever, begins the next one, and that is what is answered.
        Key::Generation => {
            started()?;
            let generation = match call.request.take::<u32>()? {
                Some(_) => prof::raise_object_generation(),
                None => prof::object_generation(),
            };
            call.request.give(generation)
        }
        Key::Dropped => {
            started()?;
            call.request.give(prof::dropped())
        }
    }
}

fn started() -> Result<(), Refusal> {
    prof::is_started().then_some(()).ok_or(Refusal::Absent)
}

/// The profiler's view of the calling thread, if the profiler was started.
fn own_thread(call: &Call) -> Option<ThreadRef> {
    call.own
        .filter(|_| prof::is_started())
        .and_then(CacheRef::profiled)
}

/// A switch that reads false, and cannot be written, before the start.
fn switch(
    call: &mut Call,
    before: bool,
    set: impl FnOnce(bool) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if call.request.writes() {
        started()?;
    }
    if let Some(is_on) = call.request.take_bool()? {
        set(is_on)?;
    }
    call.request.give_bool(prof::is_started() && before)
}

fn thread_name(call: &mut Call) -> Result<(), Refusal> {
    started()?;
    if call.request.reads() && call.request.only_reads().is_err() {
        return Err(Refusal::Forbidden);
    }
    let thread = own_thread(call).ok_or(Refusal::Exhausted)?;
    // SAFETY: a text of that type, as the name says.
    let text = unsafe { call.request.take_text()? };
    let Some(text) = text else {
        return call.request.give_text(thread.name());
    };
    if prof::has_system_names() {
        return Err(Refusal::Absent);
    }
    let is_taken = text.is_some_and(|text| thread.set_name(text));
    is_taken.then_some(()).ok_or(Refusal::Invalid)
}

/// The address of the text to be written, 0 for none.
fn named(call: &Call) -> Result<usize, Refusal> {
    started()?;
    call.request.only_writes()?;
    let path = call.request.take::<*const c_char>()?;
    Ok(path.map_or(0, <*const c_char>::expose_provenance))
}

fn class_counts(
    call: &mut Call,
    first: usize,
    part: impl FnOnce(ClassCounts) -> [u64; 2],
) -> Result<(), Refusal> {
    let [class, _] = call.indexes;
    call.request.give(part(prof::class_counts(first + class)))
}

/// Whether samples are counted by class: else there is no index of one.
pub(in super::super) fn counts_classes() -> bool {
    prof::is_started() && boot::options().prof.stats
}

/// `opt.prof_prefix`.
pub(super) fn option_prefix() -> &'static CStr {
    profiling::option_prefix(boot::options().prof.prefix)
}
