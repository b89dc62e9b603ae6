//! `version`, `epoch`, and the purge thread's switches.

use super::super::epoch;
use super::super::row::{Kind, Row, both, read};
use super::{Call, Due, Refusal};
use crate::control::purger;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Version,
    Epoch,
    BackgroundThread,
    MaxBackgroundThreads,
}

const fn key(key: Key) -> super::Key {
    super::Key::Process(key)
}

pub(super) const ROWS: &[Row] = &[
    read("version", Kind::Text, key(Key::Version)),
    both("epoch", Kind::U64, key(Key::Epoch)),
    both("background_thread", Kind::Bool, key(Key::BackgroundThread)),
    both(
        "max_background_threads",
        Kind::Size,
        key(Key::MaxBackgroundThreads),
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        // The interface's version, in its form; what stands for the commit spells our name.
        Key::Version => call
            .request
            .give_text(c"5.3.1-0-g6a656d6f78696465000000000000000000000000"),
        Key::Epoch => {
            let number = match call.request.take::<u64>()? {
                Some(_) => epoch::refresh(),
                None => epoch::number(),
            };
            call.request.give(number)
        }
        Key::BackgroundThread => {
            let wanted = call.request.take_bool()?;
            call.request.give_bool(purger::is_on())?;
            match wanted {
                Some(true) if purger::switch_on() => call.due = Due::Start,
                Some(false) => {
                    purger::switch_off();
                    call.due = Due::Leave;
                }
                _ => {}
            }
            Ok(())
        }
        Key::MaxBackgroundThreads => {
            let wanted = call.request.take::<usize>()?;
            call.request.give(purger::most())?;
            match wanted {
                Some(most) if !purger::set_most(most) => Err(Refusal::Invalid),
                _ => Ok(()),
            }
        }
    }
}
