//! Failure: a message for a person and the exit code that goes with it.
//!
//! | code | meaning |
//! | --- | --- |
//! | 1 | the comparison found a difference, or could not be finished |
//! | 2 | wrong use, or the library is missing |
//! | 128 + n | signal n stopped the comparison |
//! | 126, 127 | the program cannot be started, is not there (as a shell says it) |

use std::fmt::Display;
use std::process::ExitCode;

use crate::screen::output::safe;
use crate::screen::style::{ERROR, RESET};

/// What went wrong, in full sentences, and how the command ends.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The work could not be done, or its result is wrong.
    pub(crate) fn broken(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 1,
        }
    }

    /// The command cannot start as it was asked to.
    pub(crate) fn misuse(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 2,
        }
    }

    /// The program was found but cannot be started.
    pub(crate) fn cannot_execute(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 126,
        }
    }

    /// The program is not there.
    pub(crate) fn not_found(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 127,
        }
    }

    /// A signal ended the work.
    pub(crate) fn stopped(signal: u8) -> Self {
        Self {
            message: format!("stopped by signal {signal}."),
            code: 128u8.wrapping_add(signal),
        }
    }

    /// Prints the message to standard error.
    pub(crate) fn tell(self) -> ExitCode {
        anstream::eprintln!("{ERROR}jemoxide:{RESET} {}", safe(&self.message));
        ExitCode::from(self.code)
    }

    /// The message alone, for a screen that tells more.
    pub(crate) fn into_message(self) -> String {
        self.message
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}
