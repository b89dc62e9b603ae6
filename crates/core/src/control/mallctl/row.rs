//! Rows: what a key is called, who may do what with it, and which code answers.
#![deny(unsafe_code)]

use super::keys::Key;

/// One key.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Its components, with `<i>` for an index.
    pub(super) name: &'static str,
    pub(super) facts: Facts,
}

/// What is known of a key, without pointers.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) access: Access,
    pub(super) kind: Kind,
    pub(super) key: Key,
}

/// What is let through before the key itself looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
    Both,
    /// Neither a value to read nor one to write: the call is the deed.
    Deed,
    /// The key looks at everything by itself.
    Own,
}

/// The type of the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Bool,
    /// `unsigned`, `uint32_t`.
    U32,
    U64,
    I64,
    /// `size_t`.
    Size,
    /// `ssize_t`.
    Signed,
    /// `const char *`.
    Text,
    /// What the Rust face does not pass on: structures, pointers to be followed, pairs of types.
    Other,
    None,
}

/// A row of `NAME`, read only.
pub(super) const fn read(name: &'static str, kind: Kind, key: Key) -> Row {
    row(name, Access::Read, kind, key)
}

/// A row that may be read and written.
pub(super) const fn both(name: &'static str, kind: Kind, key: Key) -> Row {
    row(name, Access::Both, kind, key)
}

/// A row whose call is the deed.
pub(super) const fn deed(name: &'static str, key: Key) -> Row {
    row(name, Access::Deed, Kind::None, key)
}

pub(super) const fn row(name: &'static str, access: Access, kind: Kind, key: Key) -> Row {
    Row {
        name,
        facts: Facts { access, kind, key },
    }
}
