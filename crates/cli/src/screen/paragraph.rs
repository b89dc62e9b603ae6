//! Paragraph: sentences broken at blanks into lines that fit.

use std::fmt::Write;

use anstyle::Style;

use crate::screen::{WIDTH, fitted};

const INDENT: usize = 2;

/// `content`, indented, each line in `style` and ended.
pub(crate) fn paragraph(content: &str, style: Style) -> String {
    paragraph_in(content, style, None)
}

/// The same in at most `width` columns, where there is a bound narrower than [`WIDTH`].
pub(crate) fn paragraph_in(content: &str, style: Style, width: Option<usize>) -> String {
    let room = width.unwrap_or(WIDTH).min(WIDTH) - INDENT;
    let mut text = String::new();
    for line in lines(content, room) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:INDENT$}{style}{line}{style:#}", "");
    }
    text
}

/// `content` broken at blanks into lines of at most `room` characters.
pub(crate) fn lines(content: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in content.split_whitespace() {
        let word = fitted(word, room);
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::assert_fits;

    #[test]
    fn lines_are_full_and_no_word_is_lost() {
        let words = "some words of a rather long sentence ".repeat(9);
        let text = paragraph(&words, Style::new());
        assert_fits(&text);
        assert!(
            text.lines().next().is_some_and(|line| line.len() > 70),
            "{text}"
        );
        assert!(text.split_whitespace().eq(words.split_whitespace()));
        let narrow = paragraph_in(&words, Style::new(), Some(40));
        assert!(narrow.lines().all(|line| line.len() <= 40), "{narrow}");
        assert!(narrow.split_whitespace().eq(words.split_whitespace()));
    }
}
