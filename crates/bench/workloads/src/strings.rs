//! Strings: a text taken apart into words and put together again.
//!
//! Words are collected letter by letter, lines are vectors that grow word by word, the new text grows by
//! whole words: the three ways in which strings and vectors call `realloc`.

use crate::random::Random;
use crate::{Tally, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "strings-and-vectors",
    about: "a text of 60 KB taken apart into growing strings and vectors, and put together again",
    full: 700,
    tiny: 2,
    run,
};

/// Lines of the text, most words of a line, most letters of a word.
const LINES: usize = 400;
const WORDS: usize = 24;
const LETTERS: usize = 20;

fn run(rounds: u64, tally: &mut Tally) {
    let text = write(&mut Random::new(LINES as u64));
    for _ in 0..rounds {
        let lines = take_apart(&text);
        assert_eq!(join(&lines), text, "words were lost");
        let words: usize = lines.iter().map(Vec::len).sum();
        tally.add(words as u64, text.len() as u64);
    }
}

fn write(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..LINES {
        for _ in 0..random.within(1, WORDS) {
            for _ in 0..random.within(1, LETTERS) {
                text.push(char::from(b'a' + random.below(26) as u8));
            }
            text.push(' ');
        }
        text.push('\n');
    }
    text
}

/// Each word ends with a blank, each line with a line feed.
fn take_apart(text: &str) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut word = String::new();
    for letter in text.chars() {
        match letter {
            ' ' => line.push(std::mem::take(&mut word)),
            '\n' => lines.push(std::mem::take(&mut line)),
            _ => word.push(letter),
        }
    }
    lines
}

fn join(lines: &[Vec<String>]) -> String {
    let mut text = String::new();
    for line in lines {
        for word in line {
            text.push_str(word);
            text.push(' ');
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{WORKLOAD, join, take_apart};

    #[test]
    fn a_text_comes_apart_into_its_words() {
        let lines = take_apart("one two \nthree \n");
        assert_eq!(lines, [vec!["one", "two"], vec!["three"]]);
        assert_eq!(join(&lines), "one two \nthree \n");
    }

    #[test]
    fn every_round_reads_the_whole_text() {
        let (one, two) = (WORKLOAD.run(1), WORKLOAD.run(2));
        assert!(one.checksum > 40_000);
        assert_eq!(two.checksum, 2 * one.checksum);
    }
}
