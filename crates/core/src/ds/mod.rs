//! Containers that need no memory of their own.

pub(crate) mod table;
pub(crate) mod text;
