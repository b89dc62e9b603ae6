//! Paragraph: sentences broken at blanks into lines that fit.

use std::fmt::Write;

use anstyle::Style;

use crate::screen::{WIDTH, fitted};

const INDENT: usize = 2;

/// `content`, indented, each line in `style` and ended.
pub(crate) fn paragraph(content: &str, style: Style) -> String {
    let room = WIDTH - INDENT;
    let mut text = String::new();
    let mut line = String::new();
    let mut end = |line: &mut String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:INDENT$}{style}{line}{style:#}", "");
        line.clear();
    };
    for word in content.split_whitespace() {
        let word = fitted(word, room);
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            end(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    end(&mut line);
    text
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
    }
}
