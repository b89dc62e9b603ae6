//! `jemoxide.*`: what the original has no key for.

use super::super::row::{Kind, Row, both, read};
use super::{Call, Refusal};
use crate::control::{container, upkeep};
use crate::extent::Pressure;
use crate::sys::clock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Version,
    Purge,
    CgroupCpus,
    CgroupMemoryLimit,
    CgroupPressure,
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
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::Version => {
            const TEXT: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
            let text = core::ffi::CStr::from_bytes_with_nul(TEXT);
            call.request.give_text(text.unwrap_or(c""))
        }
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
    }
}

fn container_now() -> container::Figures {
    container::figures(clock::now_ns())
}
