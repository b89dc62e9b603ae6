//! Texts: the string table, of which functions, files and labels name entries.

use std::collections::HashMap;
use std::sync::Arc;

use crate::read::Unreadable;

/// Bytes of a name that are kept (P2): the longest that compilers make are a few thousand.
pub(super) const NAME_MAX: usize = 64 << 10;

/// The string table (rule P2).
pub(super) struct Texts<'a> {
    list: Vec<&'a [u8]>,
    copied: HashMap<i64, Arc<str>>,
    /// Of those that were copied, how many were too long.
    cut: usize,
}

impl<'a> Texts<'a> {
    /// A table of the file's texts.
    pub(super) fn of(list: Vec<&'a [u8]>) -> Self {
        Self {
            list,
            copied: HashMap::from([(0, Arc::from(""))]),
            cut: 0,
        }
    }

    /// The text with that index; the first is empty.
    pub(super) fn get(&mut self, index: i64) -> Result<Arc<str>, Unreadable> {
        if let Some(text) = self.copied.get(&index) {
            return Ok(text.clone());
        }
        let text = usize::try_from(index)
            .ok()
            .and_then(|index| self.list.get(index))
            .ok_or_else(|| {
                Unreadable::new(
                    format!("the profile names a text {index} that it does not have"),
                    "It is damaged, or the program that wrote it is wrong; take it again.",
                )
            })?;
        let text: Arc<str> = match text.get(..NAME_MAX) {
            Some(start) if text.len() > NAME_MAX => {
                self.cut += 1;
                format!("{}...", String::from_utf8_lossy(start)).into()
            }
            _ => String::from_utf8_lossy(text).into(),
        };
        self.copied.insert(index, text.clone());
        Ok(text)
    }

    /// How many texts were too long, of those that were asked for.
    pub(super) fn cut(&self) -> usize {
        self.cut
    }
}
