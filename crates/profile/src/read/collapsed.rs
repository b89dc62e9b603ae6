//! Collapsed: one line a stack, outermost function first, then a number.
//!
//! ```text
//! main;Server::run;parse [app.so] 4096
//! ```
//! The number is taken as live bytes. The form has neither objects nor addresses.

use crate::amount::Amount;
use crate::build::{Builder, call};
use crate::model::{Form, Function, Location, LocationId, Profile};

use std::collections::HashMap;

use super::Unreadable;
use super::lines::{decimal, lines};

/// Reads all lines.
pub(super) fn read(bytes: &[u8]) -> Result<Profile, Unreadable> {
    let mut builder = Builder::new(Form::Collapsed, 0);
    let mut by_name: HashMap<&[u8], LocationId> = HashMap::new();
    for line in lines(bytes) {
        if line.text.is_empty() || line.text.starts_with(b"#") {
            continue;
        }
        let blank = line.text.iter().rposition(u8::is_ascii_whitespace);
        let (names, number) = blank
            .map(|at| line.text.split_at(at))
            .and_then(|(names, number)| Some((names.trim_ascii(), decimal(number.trim_ascii())?)))
            .filter(|(names, _)| !names.is_empty())
            .ok_or_else(|| {
                Unreadable::at(
                    line.number,
                    format!("expected `main;work;parse 4096`, found {}", line.shown()),
                    super::FORMS,
                )
            })?;
        let mut frames = Vec::new();
        for name in names.rsplit(|&byte| byte == b';') {
            let id = match by_name.get(name) {
                Some(&id) => id,
                None => {
                    let id = named(&mut builder, name);
                    by_name.insert(name, id);
                    id
                }
            };
            frames.push(id);
        }
        let index = builder.stack(frames).ok_or_else(super::too_many)?;
        builder.profile.stacks[index].live += Amount::estimated(0.0, number as f64, 0);
    }
    if builder.profile.stacks.is_empty() {
        return Err(Unreadable::new("there are no stacks in it", super::FORMS));
    }
    Ok(builder.finish())
}

fn named(builder: &mut Builder, name: &[u8]) -> LocationId {
    let name = String::from_utf8_lossy(name);
    let function = builder.function(Function {
        name: name.as_ref().into(),
        symbol: name.as_ref().into(),
        file: "".into(),
    });
    builder.location(Location {
        calls: vec![call(function, 0)],
        ..Location::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_stacks_is_told() {
        let why = read(b"# nothing\n\n").expect_err("no stacks");
        assert!(why.to_string().contains("no stacks"), "{why}");
    }
}
