//! Solver: z3 refutes a long list of small claims about unknown functions and sums.

use super::{Real, Work, digest, find, whole_life, write};
use crate::process::Program;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

pub(super) const Z3: Real = Real {
    name: "z3",
    about: "z3 refuting claims about unknown functions and sums, one after the other",
    clock: None,
    full: 300,
    lasts: Duration::from_millis(500),
    starts: Duration::from_millis(40),
    prepare,
};

/// Steps of one claim.
const STEPS: usize = 60;

fn prepare(dir: &Path, claims: u64) -> Result<Work, String> {
    let file = find(&["/usr/bin/z3", "/usr/local/bin/z3"])?;
    let problem = dir.join("claims.smt2");
    write(&problem, text(claims).map_err(|error| error.to_string())?)?;
    let program = Program::new(file).arg(problem);
    Ok(Box::new(move |peer| {
        let finished = peer.run_on(program.clone()).run()?;
        let refuted = finished.stdout.lines().filter(|line| *line == "unsat");
        if refuted.count() as u64 != claims {
            let answer = finished.stdout.lines().find(|line| *line != "unsat");
            return Err(format!("z3 does not refute a false claim: {answer:?}"));
        }
        Ok(whole_life(&finished, digest(finished.stdout.as_bytes())))
    }))
}

/// In each claim `g` applied k times to `a` is `h` of the step before and `b`; at the end the claim denies
/// the last of these equalities.
fn text(claims: u64) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "(declare-sort S)(declare-fun f (Int Int) Int)(declare-fun g (S) S)(declare-fun h (S S) S)\n\
         (declare-const x Int)\n",
    );
    for claim in 0..claims {
        writeln!(text, "(push)(declare-const a S)(declare-const b S)")?;
        let mut term = "a".to_owned();
        for step in 0..STEPS {
            writeln!(text, "(assert (= (g {term}) (h {term} b)))")?;
            let sum = claim + step as u64;
            writeln!(text, "(assert (> (f x {sum}) (+ (f {step} x) {step})))")?;
            if step + 1 < STEPS {
                term = format!("(g {term})");
            }
        }
        writeln!(
            text,
            "(assert (distinct (g {term}) (h {term} b)))(check-sat)(pop)"
        )?;
    }
    Ok(text)
}
