//! Script: interpreters with a script of this package that takes one number and prints what it came to.

use super::{Real, Work, find, whole_life};
use crate::compile;
use crate::process::Program;
use std::time::Duration;

pub(super) const PYTHON: Real = Real {
    name: "python-json",
    about: "Python building, writing and reading JSON documents",
    clock: None,
    full: 30,
    lasts: Duration::from_millis(900),
    starts: Duration::from_millis(40),
    prepare: |_, amount| {
        // A wrapper that only finds the real interpreter would be measured itself.
        let files = ["/usr/bin/python3", "/usr/local/bin/python3"];
        interpreter(&files, "scripts/json_round_trip.py", amount)
    },
};

pub(super) const LUA: Real = Real {
    name: "lua-strings",
    about: "Lua building, searching and rewriting strings",
    clock: None,
    full: 40,
    lasts: Duration::from_millis(500),
    starts: Duration::from_millis(5),
    prepare: |_, amount| {
        let files = ["/usr/bin/lua5.4", "/usr/bin/lua5.3", "/usr/bin/lua"];
        interpreter(&files, "scripts/strings.lua", amount)
    },
};

fn interpreter(files: &[&str], script: &str, amount: u64) -> Result<Work, String> {
    let program = Program::new(find(files)?)
        .arg(compile::package_dir().join(script))
        .arg(amount.to_string());
    Ok(Box::new(move |peer| {
        let finished = peer.run_on(program.clone()).run()?;
        let result = finished.stdout.trim().to_owned();
        Ok(whole_life(&finished, result))
    }))
}
