//! `jemoxide.*`: what the original has no key for.

use super::super::row::{Access, Kind, Row, both, read, row};
use super::{Call, Due, Refusal};
use crate::control::channel::{self, Refused};
use crate::control::{container, limit, rss_text, upkeep};
use crate::extent::{DirtyBound, HEAP, Pressure};
use crate::meta::limit as counts;
use crate::size::PAGE;
use crate::sys::clock;

/// Largest share in percent, as for the option.
const SHARE_MAX: usize = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Version,
    Purge,
    CgroupCpus,
    CgroupMemoryLimit,
    CgroupPressure,
    HeapUsed,
    HeapLimitSoft,
    HeapLimitHard,
    HeapLimitCallback,
    Rss,
    DecayAdaptive,
    DirtyMax,
    DirtyShare,
    Control,
}

const fn key(key: Key) -> super::Key {
    super::Key::Own(key)
}

pub(super) const ROWS: &[Row] = &[
    read("jemoxide.version", Kind::Text, key(Key::Version)),
    both("jemoxide.purge", Kind::Size, key(Key::Purge)),
    read("jemoxide.cgroup.cpus", Kind::Size, key(Key::CgroupCpus)),
    read(
        "jemoxide.cgroup.memory_limit",
        Kind::Size,
        key(Key::CgroupMemoryLimit),
    ),
    read(
        "jemoxide.cgroup.pressure",
        Kind::Text,
        key(Key::CgroupPressure),
    ),
    read("jemoxide.heap_used", Kind::Size, key(Key::HeapUsed)),
    both(
        "jemoxide.heap_limit_soft",
        Kind::Size,
        key(Key::HeapLimitSoft),
    ),
    both(
        "jemoxide.heap_limit_hard",
        Kind::Size,
        key(Key::HeapLimitHard),
    ),
    row(
        "jemoxide.heap_limit_callback",
        Access::Both,
        Kind::Other,
        key(Key::HeapLimitCallback),
    ),
    read("jemoxide.rss", Kind::Other, key(Key::Rss)),
    both(
        "jemoxide.decay_adaptive",
        Kind::Bool,
        key(Key::DecayAdaptive),
    ),
    both("jemoxide.dirty_max", Kind::Size, key(Key::DirtyMax)),
    both("jemoxide.dirty_share", Kind::Size, key(Key::DirtyShare)),
    both("jemoxide.control", Kind::Text, key(Key::Control)),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::Version => {
            const TEXT: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
            let text = core::ffi::CStr::from_bytes_with_nul(TEXT);
            call.request.give_text(text.unwrap_or(c""))
        }
        // Not a text that stays: the next reader's takes its place.
        Key::Rss => call.request.give(rss_text::render()),
        // A write purges, whatever it writes, as one begins an epoch; read are the bytes that the last one gave back.
        Key::Purge => {
            if call.request.take::<usize>()?.is_some() {
                upkeep::trim(call.own);
            }
            call.request.give(upkeep::last_purged())
        }
        Key::CgroupCpus => call.request.give(container_now().cpus),
        // 0: none. One that no address could reach is none either.
        Key::CgroupMemoryLimit => {
            let limit = container_now().memory_limit.unwrap_or(0);
            call.request.give(usize::try_from(limit).unwrap_or(0))
        }
        Key::CgroupPressure => call.request.give_text(match container_now().pressure {
            Pressure::Calm => c"calm",
            Pressure::Tight => c"tight",
            Pressure::Critical => c"critical",
        }),
        Key::HeapUsed => call.request.give(counts::used()),
        Key::HeapLimitSoft => {
            let (before, wanted) = (limit::limit_or_none(counts::soft()), call.request.take()?);
            call.request.give(before)?;
            if let Some(bytes) = wanted {
                limit::set_soft(bytes);
            }
            Ok(())
        }
        Key::HeapLimitHard => {
            let (before, wanted) = (limit::limit_or_none(counts::hard()), call.request.take()?);
            call.request.give(before)?;
            if let Some(bytes) = wanted {
                limit::set_hard(bytes, call.own);
            }
            Ok(())
        }
        Key::HeapLimitCallback => {
            let wanted = call.request.take::<usize>()?;
            call.request.give(limit::c_callback())?;
            if let Some(callback) = wanted {
                limit::set_c_callback(callback);
            }
            Ok(())
        }
        Key::DecayAdaptive => {
            call.request.give_bool(HEAP.adaptive().0)?;
            if let Some(is_on) = call.request.take_bool()? {
                HEAP.set_adaptive(is_on);
            }
            Ok(())
        }
        Key::DirtyMax => {
            let bound = HEAP.dirty_bound();
            call.request.give(bound.pages * PAGE)?;
            if let Some(bytes) = call.request.take::<usize>()? {
                HEAP.set_dirty_bound(DirtyBound::of(bytes, bound.percent));
            }
            Ok(())
        }
        Key::DirtyShare => {
            let bound = HEAP.dirty_bound();
            call.request.give(bound.percent)?;
            if let Some(percent) = call.request.take::<usize>()? {
                if percent > SHARE_MAX {
                    return Err(Refusal::Invalid);
                }
                HEAP.set_dirty_bound(DirtyBound { percent, ..bound });
            }
            Ok(())
        }
        // Not a text that stays: the next channel's takes its place.
        Key::Control => {
            call.request.give(channel::name())?;
            // SAFETY: the caller's value is a C string, or null.
            match unsafe { call.request.take_text() }? {
                None => Ok(()),
                Some(None | Some(b"")) => {
                    channel::close();
                    call.due = Due::Channel;
                    Ok(())
                }
                Some(Some(base)) => {
                    channel::open_or_tell(base).map_err(refusal)?;
                    call.due = Due::Channel;
                    Ok(())
                }
            }
        }
    }
}

const fn refusal(why: Refused) -> Refusal {
    match why {
        Refused::Rights => Refusal::Forbidden,
        Refused::Path | Refused::Folder => Refusal::Invalid,
        Refused::System | Refused::File | Refused::Public => Refusal::Failed,
    }
}

fn container_now() -> container::Figures {
    container::figures(clock::now_ns())
}
