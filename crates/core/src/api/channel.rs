//! Channel: lets `jemoxide top` and `jemoxide stats` look into this process while it runs.

use super::slow;
use crate::control::channel::{self, Refused};
use core::fmt;

/// Why the live channel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelError(Refused);

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the live channel cannot be opened: ")?;
        f.write_str(self.0.text())
    }
}

impl core::error::Error for ChannelError {}

/// Opens the live channel at `path`, a dot and the number of the process behind it (in a container that of its namespace
/// before): a file for its owner alone, with figures for `jemoxide top` and `jemoxide stats`, which may ask for more through
/// it. A relative path begins in the folder of this moment. One that was open elsewhere is closed, or stays where this one
/// cannot be opened. A thread of the allocator's own serves it until [`close_channel`].
///
/// As the option `control`, and the name `jemoxide.control`.
///
/// ```
/// let place = std::env::temp_dir().join("jemoxide-doc");
/// # let place = place.to_str().unwrap();
/// jemoxide::open_channel(place)?;
/// // `jemoxide top PID` shows this process now.
/// jemoxide::close_channel();
/// # Ok::<(), jemoxide::ChannelError>(())
/// ```
///
/// # Errors
/// The path has more than 200 bytes, the file cannot be made there for its owner alone, the system is older than Linux 5.9, or
/// the process has more rights than who started it.
pub fn open_channel(path: &str) -> Result<(), ChannelError> {
    slow::enter(|_| channel::open(path.as_bytes())).map_err(ChannelError)?;
    channel::arm();
    Ok(())
}

/// Closes the live channel, if it is open; its file goes.
pub fn close_channel() {
    slow::enter(|_| channel::close());
    channel::arm();
}
