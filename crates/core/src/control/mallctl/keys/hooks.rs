//! `experimental.hooks.*`: functions of the application that are told what happens.

use super::super::row::{Access, Kind, Row, row};
use super::{Call, Refusal};
use crate::arena::misuse;
use crate::thread::events::{self, Handler};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    ThreadEvent,
    SafetyCheckAbort,
}

const fn key(key: Key) -> super::Key {
    super::Key::Hooks(key)
}

const fn hook(name: &'static str, what: Key) -> Row {
    row(name, Access::Write, Kind::Other, key(what))
}

pub(super) const ROWS: &[Row] = &[
    hook("experimental.hooks.thread_event", Key::ThreadEvent),
    hook(
        "experimental.hooks.safety_check_abort",
        Key::SafetyCheckAbort,
    ),
];

/// The handler as the caller has it: a function, bytes, and whether frees are no events, in the lowest byte.
type Words = [usize; 3];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::ThreadEvent => {
            let words = call.request.take::<Words>()?.ok_or(Refusal::Invalid)?;
            let [function, interval, flags] = words;
            let handler = Handler {
                call: function,
                interval: interval as u64,
                alloc_only: flags as u8 != 0,
            };
            let known = function != 0 && interval != 0 && events::register(handler);
            known.then_some(()).ok_or(Refusal::Invalid)
        }
        Key::SafetyCheckAbort => {
            if let Some(function) = call.request.take::<usize>()? {
                misuse::set_c_callback(function);
            }
            Ok(())
        }
    }
}
