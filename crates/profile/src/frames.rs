//! Frames: a stack as people read it, function by function.
//!
//! ```text
//! locations  [malloc+5]  [grow, push, fill]  [main]        innermost first; the second holds two inlined functions
//! frames      (hidden)   (hidden, hidden) fill, main       the allocator's and the standard library's are left out
//! ```
//! Names come from programs: control characters, which terminals obey and XML forbids, become `?` here, for all views.

use std::borrow::Cow;
use std::fmt;

use crate::model::{Call, Function, Location, Module, Profile, Stack};

/// One function of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The function; `None`: only the address is known.
    pub function: Option<&'a Function>,
    /// Line of the call in the function's file; 0: not known.
    pub line: u32,
    /// Whether the compiler put it into the function that follows.
    pub is_inlined: bool,
    /// Whether it calls itself directly, and stands for all these calls: in [`crate::views::paths`] only.
    pub is_recursive: bool,
    /// The return address; 0: not known.
    pub address: u64,
    /// The file mapped there.
    pub module: Option<&'a Module>,
}

impl<'a> Frame<'a> {
    /// The function's name, without control characters; without one, where in which file the code lies, or at least its address.
    pub fn name(&self) -> Cow<'a, str> {
        match (self.function, self.module) {
            (Some(function), _) => clean(&function.name),
            (None, Some(module)) => Cow::Owned(clean(&module.place(self.address)).into_owned()),
            (None, None) if self.address == 0 => Cow::Borrowed("(unknown)"),
            (None, None) => Cow::Owned(format!("{:#x}", self.address)),
        }
    }

    /// The source file; empty: not known.
    pub fn file(&self) -> &'a str {
        self.function.map_or("", |function| &function.file)
    }

    /// `file:line` where both are known, `file`, or nothing.
    pub fn place(&self) -> Option<Place<'a>> {
        let file = self.file();
        (!file.is_empty()).then_some(Place {
            file,
            line: self.line,
        })
    }
}

/// A line of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The path as the compiler was given it.
    pub file: &'a str,
    /// 0: not known.
    pub line: u32,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = clean(self.file);
        match self.line {
            0 => to.write_str(&file),
            line => write!(to, "{file}:{line}"),
        }
    }
}

/// `text` with `?` for what neither a terminal nor XML may get.
fn clean(text: &str) -> Cow<'_, str> {
    let is_bad = |each: char| each.is_control() || matches!(each, '\u{fffe}' | '\u{ffff}');
    if text.contains(is_bad) {
        Cow::Owned(text.replace(is_bad, "?"))
    } else {
        Cow::Borrowed(text)
    }
}

impl Module {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// `name+0xoffset`, the offset in the file of the call that returns to `address`.
    pub fn place(&self, address: u64) -> String {
        let inside = address.saturating_sub(1);
        let offset = inside
            .wrapping_sub(self.addresses.start)
            .wrapping_add(self.offset);
        format!("{}+{offset:#x}", self.name())
    }
}

impl Profile {
    /// The functions of `stack` that are shown, innermost first.
    pub fn frames<'a>(&'a self, stack: &'a Stack) -> impl DoubleEndedIterator<Item = Frame<'a>> {
        let hidden = stack.hidden_locations as usize;
        let shown = stack.frames.get(hidden..).unwrap_or_default();
        shown.iter().enumerate().flat_map(move |(index, &id)| {
            let skip = if index == 0 {
                stack.hidden_calls as usize
            } else {
                0
            };
            self.frames_of(self.location(id), skip)
        })
    }

    /// All functions at `location` but the `skip` innermost.
    fn frames_of<'a>(
        &'a self,
        location: &'a Location,
        skip: usize,
    ) -> impl DoubleEndedIterator<Item = Frame<'a>> {
        let module = location.module.map(|id| self.module(id));
        let calls = location.calls.get(skip..).unwrap_or_default();
        let last = calls.len().saturating_sub(1);
        let frame = move |call: Option<&Call>, is_inlined| Frame {
            function: call.map(|call| self.function(call.function)),
            line: call.map_or(0, |call| call.line),
            is_inlined,
            is_recursive: false,
            address: location.address,
            module,
        };
        let unknown = location.calls.is_empty().then(|| frame(None, false));
        calls
            .iter()
            .enumerate()
            .map(move |(index, call)| frame(Some(call), index < last))
            .chain(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_have_no_control_characters() {
        let function = Function {
            name: "a\x1b]0;owned\x07b\u{9b}".into(),
            symbol: "".into(),
            file: "x\x1b[2J.rs".into(),
        };
        let frame = Frame {
            function: Some(&function),
            line: 3,
            is_inlined: false,
            is_recursive: false,
            address: 0,
            module: None,
        };
        assert_eq!(frame.name(), "a?]0;owned?b?");
        assert_eq!(frame.place().expect("a file").to_string(), "x?[2J.rs:3");
        assert_eq!(clean("\u{fffe}é"), "?é");
        let module = Module {
            path: "/tmp/\x1b[31m.so".into(),
            ..Module::default()
        };
        let unnamed = Frame {
            function: None,
            module: Some(&module),
            address: 1,
            ..frame
        };
        assert!(!unnamed.name().contains('\x1b'), "{}", unnamed.name());
    }
}
