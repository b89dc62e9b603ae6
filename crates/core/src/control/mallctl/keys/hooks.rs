//! `experimental.hooks.*`: functions of the application that are told what happens.

use super::super::row::{Access, Kind, Row, row};
use super::{Call, Refusal};
use crate::arena::misuse;
use crate::prof::{self, hooks::Hook};
use crate::thread::events::{self, Handler};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    ThreadEvent,
    SafetyCheckAbort,
    /// One of the profiler's.
    Prof(Hook),
}

const fn key(key: Key) -> super::Key {
    super::Key::Hooks(key)
}

const fn hook(name: &'static str, what: Key) -> Row {
    row(name, Access::Write, Kind::Other, key(what))
}

/// A row of one of the profiler's hooks.
const fn prof(name: &'static str, hook: Hook) -> Row {
    row(name, Access::Own, Kind::Other, key(Key::Prof(hook)))
}

pub(super) const ROWS: &[Row] = &[
    hook("experimental.hooks.thread_event", Key::ThreadEvent),
    hook(
        "experimental.hooks.safety_check_abort",
        Key::SafetyCheckAbort,
    ),
    prof("experimental.hooks.prof_backtrace", Hook::Backtrace),
    prof("experimental.hooks.prof_dump", Hook::Dumped),
    prof("experimental.hooks.prof_sample", Hook::Sampled),
    prof("experimental.hooks.prof_sample_free", Hook::Released),
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
        Key::Prof(hook) => {
            if !call.request.reads() && !call.request.writes() {
                return Err(Refusal::Invalid);
            }
            call.request.give(hook.get())?;
            if !call.request.writes() {
                return Ok(());
            }
            if !prof::is_started() {
                return Err(Refusal::Absent);
            }
            match call.request.take::<usize>()? {
                // There is always somebody who unwinds.
                Some(0) if hook == Hook::Backtrace => Err(Refusal::Invalid),
                function => {
                    hook.set(function.unwrap_or(0));
                    Ok(())
                }
            }
        }
    }
}
