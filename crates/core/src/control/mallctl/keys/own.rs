//! `jemoxide.*`: what the original has no key for.

use super::super::row::{Kind, Row, both, read};
use super::{Call, Refusal};
use crate::control::upkeep;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Version,
    Purge,
}

const fn key(key: Key) -> super::Key {
    super::Key::Own(key)
}

pub(super) const ROWS: &[Row] = &[
    read("jemoxide.version", Kind::Text, key(Key::Version)),
    both("jemoxide.purge", Kind::Size, key(Key::Purge)),
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
    }
}
