//! Files that tests put there, for the calling thread: none of the machine's is ever read.

use core::cell::RefCell;
use core::ffi::CStr;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

/// What stands at a path.
#[derive(Clone)]
struct Content {
    bytes: Vec<u8>,
    /// Reading beyond so many bytes fails.
    fails_at: usize,
    /// Bytes that one read gives at most.
    piece: usize,
}

std::thread_local! {
    static TREE: RefCell<BTreeMap<String, Content>> = const { RefCell::new(BTreeMap::new()) };
    static OPENED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Puts a file with `bytes` at `path`.
pub(crate) fn place(path: &str, bytes: impl AsRef<[u8]>) {
    place_failing(path, bytes, usize::MAX, usize::MAX);
}

/// Puts a file with `bytes` at `path` that gives `piece` bytes a read and cannot be read from `fails_at` on.
pub(crate) fn place_failing(path: &str, bytes: impl AsRef<[u8]>, fails_at: usize, piece: usize) {
    let content = Content {
        bytes: bytes.as_ref().to_vec(),
        fails_at,
        piece,
    };
    TREE.with_borrow_mut(|tree| tree.insert(path.into(), content));
}

/// Takes the file at `path` away.
pub(crate) fn remove(path: &str) {
    TREE.with_borrow_mut(|tree| tree.remove(path));
}

/// Takes all files away.
pub(crate) fn clear() {
    TREE.with_borrow_mut(BTreeMap::clear);
}

/// Paths that this thread has tried to open since the last call.
pub(crate) fn opened() -> Vec<String> {
    OPENED.take()
}

/// A file open for reading.
pub(crate) struct File {
    content: Content,
    at: usize,
}

impl File {
    pub(crate) fn open(path: &CStr) -> Option<Self> {
        let path = String::from_utf8_lossy(path.to_bytes()).into_owned();
        // Exit functions may come later than the end of both: there is no file then.
        let content = TREE
            .try_with(|tree| tree.borrow().get(&path).cloned())
            .ok()?;
        OPENED
            .try_with(|opened| opened.borrow_mut().push(path))
            .ok()?;
        Some(Self {
            content: content?,
            at: 0,
        })
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let Content {
            bytes,
            fails_at,
            piece,
        } = &self.content;
        if self.at >= *fails_at {
            return None;
        }
        let rest = bytes.get(self.at..).unwrap_or_default();
        let count = rest
            .len()
            .min(buffer.len())
            .min(*piece)
            .min(fails_at - self.at);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Some(count)
    }
}
