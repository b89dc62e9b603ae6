//! Output: text to standard output, where a reader may have gone away.

use std::io::{self, Write};

use crate::failure::Failure;

/// Writes `text`. A closed pipe (`| head`) is a reader who has seen enough, not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|why| Failure::broken(format!("cannot write the output: {why}"))),
    }
}
