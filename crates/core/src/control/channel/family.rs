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
//!     the channel when it closes it. What they remove has a name of the family, and the number of no process in their own
//!     namespace. In others they do not see who is there: what goes is what nobody holds (rule X3 of `sys::shared`).
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
    base: [u8; PATH_MAX],
    base_len: usize,
    /// The process that opened it; 0: none has yet.
    opener: u32,
    /// The namespace in which that one has this number.
    namespace: Option<u64>,
    /// This process was forked from that one, or from a child of it.
    is_inherited: bool,
}

impl Family {
    /// There is none.
    pub(super) const NONE: Self = Self {
        base: [0; PATH_MAX],
        base_len: 0,
        opener: 0,
        namespace: None,
        is_inherited: false,
    };

    /// Those at `base`, which a relative path leads to from the folder of this moment (N1). Nobody has opened it.
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
        let base = line.bytes(base).as_bytes();
        let mut family = Self::NONE;
        family
            .base
            .get_mut(..base.len())
            .ok_or(Refused::Path)?
            .copy_from_slice(base);
        family.base_len = base.len();
        Ok(family)
    }

    /// `process`, this one, opens it, if nobody has.
    pub(super) fn open(&mut self, process: u32) {
        self.open_in(process, output::process_namespace);
    }

    /// As [`Family::open`], in the namespace that is told.
    fn open_in(&mut self, process: u32, namespace: impl FnOnce() -> Option<u64>) {
        if self.opener == 0 {
            self.opener = process;
            self.namespace = namespace();
            self.is_inherited = false;
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
        // Cut off nowhere: the base leaves room for all numbers, and for the end.
        for (to, &from) in name.iter_mut().zip(line.as_bytes()) {
            *to = from;
        }
        name
    }

    /// What follows the opener's name before the number of a child in `namespace`.
    fn begin_child<'a>(&self, line: &'a mut Line, namespace: Option<u64>) -> &'a mut Line {
        line.text(".");
        match self.foreign(namespace) {
            Some(other) => line.decimal(other as usize).text("."),
            None => line,
        }
    }

    /// The namespace that names of children in `namespace` tell: none where it is the opener's.
    fn foreign(&self, namespace: Option<u64>) -> Option<u64> {
        namespace.filter(|_| namespace != self.namespace)
    }

    /// The name of the opener's file.
    fn opened(&self) -> Line {
        let mut line = Line::new();
        line.bytes(self.base.get(..self.base_len).unwrap_or(&[]));
        if let Some(number) = self.namespace.filter(|&number| number != FIRST_NAMESPACE) {
            line.text(".").decimal(number as usize);
        }
        line.text(".").decimal(self.opener as usize);
        line
    }

    /// Takes away the files of children that are no more (N2). Lists a folder: outside the gate.
    pub(super) fn sweep(&self) {
        let namespace = output::process_namespace();
        if namespace.is_none() && self.namespace.is_some() {
            return;
        }
        let own = self.foreign(namespace);
        let mut beginning = self.opened();
        let beginning = beginning.text(".").as_bytes();
        let slash = beginning.iter().rposition(|&byte| byte == b'/');
        let (folder, beginning) = beginning.split_at(slash.map_or(0, |at| at + 1));
        with_path(folder, b"", |whole| {
            shared::for_names(whole, |name| {
                let Some(child) = name.strip_prefix(beginning).and_then(Child::of) else {
                    return;
                };
                let live = name.strip_suffix(PROFILE).unwrap_or(name);
                with_path(folder, name, |path| {
                    if child.namespace != own {
                        with_path(folder, live, |live| shared::remove_unless_held(path, live));
                    } else if !process::is_there(child.number) {
                        shared::remove(path);
                    }
                });
            });
        });
    }
}

/// Hands `name` in `folder`, which ends with a slash, to `body` as a C text.
fn with_path(folder: &[u8], name: &[u8], body: impl FnOnce(&CStr)) {
    let mut path = Line::new();
    path.bytes(folder).bytes(name).text("\0");
    // One that does not fit has no end.
    if let Ok(path) = CStr::from_bytes_until_nul(path.as_bytes()) {
        body(path);
    }
}

/// The child that a name tells of.
#[derive(Clone, Copy)]
struct Child {
    /// Where that is not the opener's.
    namespace: Option<u64>,
    number: u32,
}

impl Child {
    /// What follows the opener's name and a dot: `4750`, `4026532202.1`, either with `.heap`. `None`: something else.
    fn of(rest: &[u8]) -> Option<Self> {
        let rest = rest.strip_suffix(PROFILE).unwrap_or(rest);
        let mut numbers = rest.split(|&byte| byte == b'.').map(number);
        let (first, second) = (numbers.next()??, numbers.next());
        let (namespace, child) = match second {
            Some(child) => (Some(first), child?),
            None => (None, first),
        };
        let number = u32::try_from(child).ok()?;
        numbers
            .next()
            .is_none()
            .then_some(Self { namespace, number })
    }
}

/// The number, above 0, that is written so.
fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
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
    fn names_tell_the_namespace_where_the_opener_opens_it() {
        let base = Family::at(b"/run/live").unwrap();
        let name = |family: &Family, namespace| text(family.name_in(1, namespace));
        let opened = |namespace| {
            let mut family = base;
            family.open_in(1, || namespace);
            (family, name(&family, namespace))
        };
        assert_eq!(opened(None).1, "/run/live.1");
        assert_eq!(opened(Some(FIRST_NAMESPACE)).1, "/run/live.1");
        let (mut family, parents) = opened(Some(77));
        assert_eq!(parents, "/run/live.77.1");
        // A child of that number leaves the channel, and opens one of its own.
        family.inherit();
        assert_eq!(name(&family, Some(78)), "/run/live.77.1.78.1");
        family.close();
        family.open_in(1, || Some(78));
        assert_eq!(name(&family, Some(78)), "/run/live.78.1", "N1");
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
            format!("{name}.77.{here}"),
            format!("{name}.77.{here}.heap"),
            format!("{name}.77.{gone}.1"),
            format!("{name}.77."),
            format!("{name}..{gone}"),
            format!("{name}.0"),
            format!("{name}."),
            format!("{name}1.{gone}"),
        ];
        let goes = [
            format!("{name}.{gone}"),
            format!("{name}.{gone}.heap"),
            // In a namespace of their own, where our number is nothing; a profile may be all that is left.
            format!("{name}.78.{here}"),
            format!("{name}.78.{here}.heap"),
            format!("{name}.79.1.heap"),
        ];
        for path in stays.iter().chain(&goes) {
            fs::write(path, "").unwrap();
        }
        let held = fs::File::open(format!("{name}.77.{here}")).unwrap();
        held.try_lock().unwrap();
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
