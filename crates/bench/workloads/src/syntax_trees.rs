//! Syntax trees: a compiler's day: text to tokens to a tree, the tree walked and rewritten, all dropped.
//!
//! ```text
//! v7 = v3 + 12 * (v1 + 5);            text, written once together with the value it comes to
//!      [v7] [=] [v3] [+] ..           tokens, names are strings of their own
//!        Sum(v3, Product(12, ..))     nodes in boxes, terms in vectors
//! ```
//! Nothing is freed while the tree grows, then everything at once, in the order of the tree.

mod parser;
mod source;

use crate::random::Random;
use crate::{Tally, Workload};
use parser::{Expression, Statement};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "syntax-trees",
    about: "a program of 2000 statements tokenised, parsed, folded, evaluated and dropped",
    full: 20,
    tiny: 1,
    run,
};

const STATEMENTS: usize = 2000;

/// What each name stands for; the same order in every run (rule K1).
type Variables<'a> = HashMap<&'a str, u32, BuildHasherDefault<DefaultHasher>>;

fn run(rounds: u64, tally: &mut Tally) {
    let (text, expected) = source::write(STATEMENTS, &mut Random::new(STATEMENTS as u64));
    for _ in 0..rounds {
        let program = parser::parse(&text);
        assert_eq!(evaluate(&program), expected, "the program was misread");
        let folded: Vec<Statement> = program.into_iter().map(fold).collect();
        assert_eq!(evaluate(&folded), expected, "folding changed the program");
        tally.add(2 * STATEMENTS as u64, u64::from(expected));
    }
}

/// The sum of all variables at the end.
fn evaluate(program: &[Statement]) -> u32 {
    let mut variables = Variables::default();
    for statement in program {
        let value = value(&statement.value, &variables);
        variables.insert(statement.name.as_str(), value);
    }
    variables
        .values()
        .fold(0, |sum: u32, value| sum.wrapping_add(*value))
}

fn value(expression: &Expression, variables: &Variables<'_>) -> u32 {
    let value = |term: &Expression| value(term, variables);
    match expression {
        Expression::Number(number) => *number,
        Expression::Name(name) => variables[name.as_str()],
        Expression::Sum(terms) => terms.iter().map(value).fold(0, u32::wrapping_add),
        Expression::Product(left, right) => value(left).wrapping_mul(value(right)),
    }
}

/// The same statement with products of numbers worked out: a new tree from the parts of the old one.
fn fold(statement: Statement) -> Statement {
    Statement {
        name: statement.name,
        value: fold_expression(statement.value),
    }
}

fn fold_expression(expression: Expression) -> Expression {
    match expression {
        Expression::Sum(terms) => Expression::Sum(terms.into_iter().map(fold_expression).collect()),
        Expression::Product(left, right) => {
            match (fold_expression(*left), fold_expression(*right)) {
                (Expression::Number(left), Expression::Number(right)) => {
                    Expression::Number(left.wrapping_mul(right))
                }
                (left, right) => Expression::Product(Box::new(left), Box::new(right)),
            }
        }
        leaf => leaf,
    }
}

#[cfg(test)]
mod tests {
    use super::{evaluate, fold_expression, parser};
    use crate::syntax_trees::parser::Expression;

    #[test]
    fn a_small_program_is_understood() {
        let program = parser::parse("a = 2 + 3 * 4;\nb = (a + 1) * (2 + 2 * 2);\n");
        assert_eq!(evaluate(&program), 14 + 15 * 6);
    }

    #[test]
    fn products_of_numbers_are_folded() {
        let mut program = parser::parse("a = 3 * 4 * 5;");
        let folded = fold_expression(program.remove(0).value);
        assert!(matches!(folded, Expression::Number(60)));
    }
}
