//! Place: the folder in which the files of our own group stand, for one controller.
//!
//! ```text
//! /proc/self/cgroup  4:memory:/pods/a/b           our group, as the machine or our namespace names it
//! mountinfo          root /pods, at /cg/memory    what of the tree is visible, and where
//! place              /cg/memory/a/b               levels: /cg/memory/a/b, /cg/memory/a, /cg/memory
//! ```
//! G1  A controller that has a tree of its own is looked for there, any other in the common tree.
//! G2  Where our group does not lie below what is visible, the top of what is visible stands for it: a container sees
//!     its own group there, whatever the machine calls it.
//! G3  A path longer than [`PATH_MAX`] is not followed.
//! Used under the lock of `container`.
#![deny(unsafe_code)]

use super::reading::{Lines, Scratch};
use super::text::{self, Controller, Version};
use crate::sys::files::File;
use core::ffi::CStr;

/// Longest path of a group's folder.
pub(super) const PATH_MAX: usize = 1024;
/// Room behind a folder for a slash, the name of a file, and the end.
const NAME_MAX: usize = 64;

/// A path of bounded length.
#[derive(Clone, Copy)]
pub(super) struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Path {
    const fn new() -> Self {
        Self {
            bytes: [0; PATH_MAX],
            len: 0,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends, unless it gets too long: then nothing changes (G3).
    fn append(&mut self, bytes: impl Iterator<Item = u8> + Clone) -> bool {
        let count = bytes.clone().count();
        let Some(room) = self.bytes.get_mut(self.len..self.len + count) else {
            return false;
        };
        room.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        self.len += count;
        true
    }
}

/// Where a controller's files are. One for which nothing was looked is of zeroes, which no process pays for.
pub(super) struct Place {
    version: Option<Version>,
    /// Our group, as it was named when the folder was looked for.
    own: Path,
    folder: Path,
    /// Length of the mount point, with which `folder` begins.
    top: usize,
}

impl Place {
    pub(super) const fn new() -> Self {
        Self {
            version: None,
            own: Path::new(),
            folder: Path::new(),
            top: 0,
        }
    }

    /// How the groups are laid out. `None`: nothing was found.
    pub(super) fn version(&self) -> Option<Version> {
        self.version
    }

    /// Looks for the folder of `controller`, the same in every call; cheap where our group is still the one it was found for.
    pub(super) fn find(&mut self, controller: Controller, scratch: &mut Scratch) {
        let before = (self.version, self.own);
        let group = self.find_group(controller, scratch);
        if group.is_some() && group == before.0 && self.own.as_bytes() == before.1.as_bytes() {
            return;
        }
        self.version = group.filter(|&version| self.find_folder(controller, scratch, version));
    }

    /// Notes the name of our group (G1).
    fn find_group(&mut self, controller: Controller, scratch: &mut Scratch) -> Option<Version> {
        self.own.clear();
        let mut lines = Lines::of(c"/proc/self/cgroup", scratch)?;
        let mut found = None;
        while let Some(line) = lines.next() {
            match text::group(line, controller) {
                Some((version, path)) if found != Some(Version::One) => {
                    self.own.clear();
                    found = self
                        .own
                        .append(path.iter().copied())
                        .then_some(version)
                        .or(found);
                }
                _ => {}
            }
        }
        found
    }

    /// Finds where our group is visible.
    fn find_folder(
        &mut self,
        controller: Controller,
        scratch: &mut Scratch,
        version: Version,
    ) -> bool {
        let Some(mut lines) = Lines::of(c"/proc/self/mountinfo", scratch) else {
            return false;
        };
        let mut found = false;
        while let Some(line) = lines.next() {
            let Some(mount) = text::mount(line, controller) else {
                continue;
            };
            if mount.version != version {
                continue;
            }
            let below = below(self.own.as_bytes(), mount.root);
            // The first that shows our group, else the first (G2).
            if found && below.is_none() {
                continue;
            }
            let mut folder = Path::new();
            if !folder.append(text::unescaped(mount.point)) {
                continue;
            }
            let top = folder.len;
            let all = below.is_some_and(|below| folder.append(below.iter().copied()));
            (self.folder, self.top, found) = (folder, top, true);
            if all {
                break;
            }
        }
        found
    }

    /// Lengths of `folder` that name our group and those above it, up to the last one visible.
    pub(super) fn levels(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = self.version.is_some().then_some(self.folder.len);
        core::iter::from_fn(move || {
            let level = next?;
            let path = self.folder.as_bytes().get(..level).unwrap_or_default();
            next = path
                .iter()
                .rposition(|&byte| byte == b'/')
                .filter(|&slash| slash >= self.top && level > self.top);
            Some(level)
        })
    }

    /// Opens the file `name` of the group at `level`.
    pub(super) fn open(&self, level: usize, name: &str) -> Option<File> {
        let mut path = [0; PATH_MAX + NAME_MAX];
        let folder = self.folder.as_bytes().get(..level)?;
        let parts = folder.iter().chain(b"/").chain(name.as_bytes());
        let len = folder.len() + 1 + name.len();
        // The last byte stays 0.
        if len >= path.len() {
            return None;
        }
        path.iter_mut()
            .zip(parts)
            .for_each(|(to, &byte)| *to = byte);
        File::open(CStr::from_bytes_until_nul(&path).ok()?)
    }
}

/// The part of the path `own` below `root`, which is escaped; `None`: it is not below.
fn below<'a>(own: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let below = if root == b"/" {
        own
    } else {
        let mut rest = own;
        for byte in text::unescaped(root) {
            rest = rest.strip_prefix(&[byte])?;
        }
        rest
    };
    let climbs = |name: &[u8]| name == b"..";
    let below = below.strip_suffix(b"/").unwrap_or(below);
    let is_below = below.is_empty() || below.first() == Some(&b'/');
    (is_below && !below.split(|&byte| byte == b'/').any(climbs)).then_some(below)
}
