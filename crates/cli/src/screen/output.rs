//! Output: text to standard output, where a reader may have gone away.
//!
//! Names of threads and files come from elsewhere: of control characters only ends of lines and our own colours
//! (`ESC [ numbers m`) reach a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::failure::Failure;

/// Writes `text`. A closed pipe (`| head`) is a reader who has seen enough, not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out
        .write_all(safe(text).as_bytes())
        .and_then(|()| out.flush())
    {
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|why| Failure::broken(format!("cannot write the output: {why}"))),
    }
}

/// `text` with `?` for every control character that is neither an end of a line nor begins a colour.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    let is_control = |each: char| each.is_control() && each != '\n';
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_control) {
        safe.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = colour_length(rest).unwrap_or(0);
        if length == 0 {
            safe.push('?');
            let first = rest.chars().next().map_or(0, char::len_utf8);
            rest = &rest[first..];
        } else {
            safe.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    safe.push_str(rest);
    Cow::Owned(safe)
}

/// Bytes of the colour that `text` begins with.
fn colour_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\x1b[")?;
    let end = inside.find(|each: char| !each.is_ascii_digit() && each != ';')?;
    inside[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_pass_and_what_else_terminals_obey_does_not() {
        assert_eq!(safe("plain\n"), "plain\n");
        let styled = format!("{0}x{0:#}\n", crate::screen::style::TITLE);
        assert_eq!(safe(&styled), styled);
        assert_eq!(
            safe("\x1b]0;title\x07 \x1b[2J \x1b[31m \r\u{9b}2J \x1b["),
            "?]0;title? ?[2J \x1b[31m ??2J ?["
        );
    }
}
