//! `config.*`: what the library was built with.

use super::super::row::{Kind, Row, read};
use super::{Call, Refusal};
use crate::control::options::BUILD;
use core::ffi::CStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Yes,
    No,
    Debug,
    Conf,
}

const fn is(name: &'static str, key: Key) -> Row {
    read(name, Kind::Bool, super::Key::Config(key))
}

/// Options given to the build, as C has texts.
static CONF: [u8; conf().len() + 1] = {
    let (mut text, mut at) = ([0; conf().len() + 1], 0);
    while at < conf().len() {
        text[at] = conf()[at];
        at += 1;
    }
    text
};

const fn conf() -> &'static [u8] {
    match BUILD {
        Some(text) => text.as_bytes(),
        None => b"",
    }
}

pub(super) const ROWS: &[Row] = &[
    is("config.cache_oblivious", Key::No),
    is("config.debug", Key::Debug),
    is("config.fill", Key::Yes),
    is("config.lazy_lock", Key::No),
    read(
        "config.malloc_conf",
        Kind::Text,
        super::Key::Config(Key::Conf),
    ),
    is("config.opt_safety_checks", Key::No),
    is("config.prof", Key::Yes),
    is("config.prof_libgcc", Key::No),
    is("config.prof_libunwind", Key::No),
    is("config.prof_frameptr", Key::No),
    is("config.stats", Key::Yes),
    is("config.utrace", Key::No),
    is("config.xmalloc", Key::Yes),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::Yes => call.request.give_bool(true),
        Key::No => call.request.give_bool(false),
        Key::Debug => call.request.give_bool(cfg!(debug_assertions)),
        Key::Conf => call
            .request
            .give_text(CStr::from_bytes_with_nul(&CONF).unwrap_or(c"")),
    }
}
