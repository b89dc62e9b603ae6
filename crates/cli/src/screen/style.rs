//! Style: the few colours, named for what they mean.

use anstyle::{AnsiColor, Reset, Style};

/// Something went wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Worth a look, but no error.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// The better of two.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Title of a screen or a column.
pub(crate) const TITLE: Style = Style::new().bold();
/// Explanation beside a number.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// Back to plain.
pub(crate) const RESET: Reset = Reset;
