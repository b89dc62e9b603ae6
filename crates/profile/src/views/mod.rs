//! Views: profiles by function, by path, by thread, by tag.
