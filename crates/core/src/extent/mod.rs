//! Pages: which are whose, which are idle, and when their memory goes back.

pub(crate) mod page_map;
