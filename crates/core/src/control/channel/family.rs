//! Family: how the files of a process and of its forked children are named, and which of them nobody keeps any more.
//!
//! ```text
//! BASE.4711                  of the process that opened the channel at BASE; BASE is absolute from then on
//! BASE.4026532201.1          the same in a container: the number of its namespace of processes comes first
//! BASE.4711.4750             of a child forked from it            } with .heap: the heap profile
//! BASE.4711.4026532202.1     of a child that is in another namespace of processes: its number there, which may be any
//! ```
//! N1  Where the process goes later (`chdir`) changes no name, and two containers that share a folder share no name: nor do
//!     parent and child, each of which may be process 1 of its own.
//! N2  A child that ends by `_exit`, or is killed, cannot remove its file: a younger one does it, or the process that opened
//!     the channel when it closes it. What they remove has a name of the family and the number of no process, of their own
//!     namespace: of others nobody can tell whose they are.
#![deny(unsafe_code)]

use super::Refused;
use crate::ds::text::Line;
use crate::options::PATH_MAX;
use crate::sys::{output, process, shared};
use core::ffi::CStr;

/// Bytes of the longest name: base, a dot and a number four times, the end.
pub(super) const NAME: usize = PATH_MAX + 72;
/// What follows in the name of a heap profile.
pub(super) const PROFILE: &[u8] = b".heap";
/// The number of the namespace that the system starts with, on every Linux.
const FIRST_NAMESPACE: u64 = 0xefff_fffc;

/// A name as a C text; empty: there is none.
pub(super) type Name = [u8; NAME];

/// A process that opened a channel, and its children.
#[derive(Clone, Copy)]
pub(super) struct Family {
    /// Base and namespace.
    stem: [u8; NAME],
    stem_len: usize,
    /// The namespace in which processes have these numbers.
    namespace: Option<u64>,
    /// The process that opened it; 0: none has yet.
    opener: u32,
    /// This process was forked from that one, or from a child of it.
    is_inherited: bool,
}

impl Family {
    /// There is none.
    pub(super) const NONE: Self = Self {
        stem: [0; NAME],
        stem_len: 0,
        namespace: None,
        opener: 0,
        is_inherited: false,
    };

    /// Those at `base`, which a relative path leads to from the folder of this moment (N1).
    pub(super) fn at(base: &[u8]) -> Result<Self, Refused> {
        if base.is_empty() || base.contains(&0) {
            return Err(Refused::Path);
        }
        let mut line = Line::new();
        if !base.starts_with(b"/") {
            let mut place = [0; PATH_MAX];
            line.bytes(process::folder(&mut place).ok_or(Refused::Folder)?);
            line.text("/");
        }
        line.bytes(base);
        if line.as_bytes().len() > PATH_MAX {
            return Err(Refused::Path);
        }
        let namespace = output::process_namespace();
        if let Some(number) = namespace.filter(|&number| number != FIRST_NAMESPACE) {
            line.text(".").decimal(number as usize);
        }
        let mut family = Self::NONE;
        let stem = line.as_bytes();
        family
            .stem
            .get_mut(..stem.len())
            .ok_or(Refused::Path)?
            .copy_from_slice(stem);
        family.stem_len = stem.len();
        family.namespace = namespace;
        Ok(family)
    }

    /// `process` opens it, if nobody has.
    pub(super) fn open(&mut self, process: u32) {
        if self.opener == 0 {
            *self = Self {
                opener: process,
                is_inherited: false,
                ..*self
            };
        }
    }

    /// It is open no more.
    pub(super) fn close(&mut self) {
        self.opener = 0;
    }

    /// In a forked child: another process has opened it, even if both have the same number (N1).
    pub(super) fn inherit(&mut self) {
        self.is_inherited = self.opener != 0;
    }

    /// Whether `process`, this one, has opened it.
    pub(super) fn is_of(&self, process: u32) -> bool {
        self.opener == process && !self.is_inherited
    }

    /// The name of the file of `process`, this one, which is of the family.
    pub(super) fn name(&self, process: u32) -> Name {
        self.name_in(process, output::process_namespace())
    }

    /// As [`Family::name`], in `namespace`.
    fn name_in(&self, process: u32, namespace: Option<u64>) -> Name {
        let mut line = self.opened();
        if !self.is_of(process) {
            self.begin_child(&mut line, namespace)
                .decimal(process as usize);
        }
        let mut name = [0; NAME];
        // Cut off nowhere: the stem leaves room for all numbers, and for the end.
        for (to, &from) in name.iter_mut().zip(line.as_bytes()) {
            *to = from;
        }
        name
    }

    /// What follows the opener's name before the number of a child in `namespace`.
    fn begin_child<'a>(&self, line: &'a mut Line, namespace: Option<u64>) -> &'a mut Line {
        line.text(".");
        match namespace.filter(|_| namespace != self.namespace) {
            Some(other) => line.decimal(other as usize).text("."),
            None => line,
        }
    }

    /// The name of the opener's file.
    fn opened(&self) -> Line {
        let mut line = Line::new();
        line.bytes(self.stem.get(..self.stem_len).unwrap_or(&[]));
        line.text(".").decimal(self.opener as usize);
        line
    }

    /// Takes away the files of children that are no more (N2). Lists a folder: outside the gate.
    pub(super) fn sweep(&self) {
        let namespace = output::process_namespace();
        if namespace.is_none() && self.namespace.is_some() {
            return;
        }
        let mut beginning = self.opened();
        let beginning = self.begin_child(&mut beginning, namespace).as_bytes();
        let slash = beginning.iter().rposition(|&byte| byte == b'/');
        let (folder, beginning) = beginning.split_at(slash.map_or(0, |at| at + 1));
        let path = |name: &[u8]| {
            let mut path = Line::new();
            path.bytes(folder).bytes(name).text("\0");
            path
        };
        let whole = path(b"");
        let Ok(whole) = CStr::from_bytes_until_nul(whole.as_bytes()) else {
            return;
        };
        shared::for_names(whole, |name| {
            let child = name.strip_prefix(beginning).and_then(child_of);
            if child.is_none_or(process::is_there) {
                return;
            }
            if let Ok(path) = CStr::from_bytes_until_nul(path(name).as_bytes()) {
                shared::remove(path);
            }
        });
    }
}

/// The child that what follows the opener's name tells of: `4750` and `4750.heap`.
fn child_of(rest: &[u8]) -> Option<u32> {
    let digits = rest.strip_suffix(PROFILE).unwrap_or(rest);
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    text.parse().ok().filter(|&number| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;
    use std::{env, format, fs, process as own};

    fn text(name: Name) -> String {
        let name = CStr::from_bytes_until_nul(&name).unwrap();
        name.to_str().unwrap().into()
    }

    #[test]
    fn names_are_absolute_and_tell_children_apart() {
        let mut family = Family::at(b"live").unwrap();
        family.open(4711);
        let here = env::current_dir().unwrap();
        let name = text(family.name(4711));
        assert!(name.starts_with(here.join("live").to_str().unwrap()), "N1");
        assert!(name.ends_with(".4711"), "{name}");
        assert_eq!(text(family.name(12)), format!("{name}.12"));
        // A child whose number is the opener's: in another namespace, and where the system does not tell of any.
        family.inherit();
        let inside = family.name_in(4711, Some(77));
        assert_eq!(text(inside), format!("{name}.77.4711"), "N1");
        assert_eq!(text(family.name(4711)), format!("{name}.4711"), "N1");
        assert_eq!(text(family.name_in(4711, None)), format!("{name}.4711"));
        let longest = [&b"/"[..], &[b'x'; PATH_MAX - 1]].concat();
        let mut family = Family::at(&longest).unwrap();
        family.open(u32::MAX);
        let inside = text(family.name_in(u32::MAX - 1, Some(u64::MAX)));
        assert!(inside.ends_with(".4294967295.18446744073709551615.4294967294"));
        for (wrong, why) in [
            (&b""[..], Refused::Path),
            (b"/a\0b", Refused::Path),
            (&[b'x'; PATH_MAX], Refused::Path),
        ] {
            assert_eq!(Family::at(wrong).err(), Some(why), "{wrong:?}");
        }
    }

    #[test]
    fn only_files_of_children_that_are_gone_are_swept() {
        let folder = env::temp_dir().join(format!("jemoxide-family-{}", own::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut family = Family::at(folder.join("live").to_str().unwrap().as_bytes()).unwrap();
        family.open(own::id());
        let name = text(family.name(own::id()));
        // The number of no process: beyond what the system gives.
        let (gone, here) = (u32::MAX - 7, own::id());
        let stays = [
            name.clone(),
            format!("{name}.heap"),
            format!("{name}.{here}"),
            format!("{name}.{gone}.log"),
            format!("{name}.{gone}x"),
            format!("{name}.77.{gone}"),
            format!("{name}.0"),
            format!("{name}."),
            format!("{name}1.{gone}"),
        ];
        let goes = [format!("{name}.{gone}"), format!("{name}.{gone}.heap")];
        for path in stays.iter().chain(&goes) {
            fs::write(path, "").unwrap();
        }
        family.sweep();
        let left: Vec<_> = stays
            .iter()
            .filter(|path| fs::exists(path).unwrap())
            .collect();
        assert_eq!(left.len(), stays.len(), "{left:?}");
        assert!(goes.iter().all(|path| !fs::exists(path).unwrap()), "N2");
        fs::remove_dir_all(folder).unwrap();
    }
}
