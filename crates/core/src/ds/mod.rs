//! Containers that need no memory of their own.

pub(crate) mod text;
