//! Source: a program text, written together with the sum of the variables that it comes to.
//!
//! ```text
//! sum = product { " + " product }      product = atom { " * " atom }      atom = number | name | "(" sum ")"
//! ```

use crate::random::Random;
use std::fmt::Write;

/// Parentheses within parentheses.
const DEPTH: usize = 4;

/// A text of `statements` lines, each of which defines a variable, and the sum of all of them.
pub(super) fn write(statements: usize, random: &mut Random) -> (String, u32) {
    let mut writer = Writer {
        text: String::new(),
        values: Vec::new(),
        random,
    };
    for index in 0..statements {
        writer.put(format_args!("variable_{index} = "));
        let value = writer.sum(DEPTH);
        writer.put(format_args!(";\n"));
        writer.values.push(value);
    }
    let sum = writer.values.iter().copied().fold(0, u32::wrapping_add);
    (writer.text, sum)
}

struct Writer<'a> {
    text: String,
    values: Vec<u32>,
    random: &'a mut Random,
}

impl Writer<'_> {
    fn put(&mut self, part: std::fmt::Arguments<'_>) {
        self.text.write_fmt(part).expect("a string takes all");
    }

    fn sum(&mut self, depth: usize) -> u32 {
        let mut sum = self.product(depth);
        for _ in 1..self.random.within(1, 4) {
            self.put(format_args!(" + "));
            sum = sum.wrapping_add(self.product(depth));
        }
        sum
    }

    fn product(&mut self, depth: usize) -> u32 {
        let mut product = self.atom(depth);
        for _ in 1..self.random.within(1, 3) {
            self.put(format_args!(" * "));
            product = product.wrapping_mul(self.atom(depth));
        }
        product
    }

    fn atom(&mut self, depth: usize) -> u32 {
        match self.random.below(5) {
            0 if depth > 0 => {
                self.put(format_args!("("));
                let sum = self.sum(depth - 1);
                self.put(format_args!(")"));
                sum
            }
            1 | 2 if !self.values.is_empty() => {
                let index = self.random.below(self.values.len());
                self.put(format_args!("variable_{index}"));
                self.values[index]
            }
            _ => {
                let number = self.random.below(1000) as u32;
                self.put(format_args!("{number}"));
                number
            }
        }
    }
}
