//! Screen: numbers and tables as a person reads them, in 80 columns.
//!
//! Everything here makes text, with colour in it; `anstream` takes the colour out again wherever the
//! text does not go to a terminal.

pub(crate) mod memory;
pub(crate) mod numbers;
pub(crate) mod output;
pub(crate) mod paragraph;
pub(crate) mod style;
pub(crate) mod table;

/// Columns of the narrowest terminal that is still common.
pub(crate) const WIDTH: usize = 80;

/// Columns that lines on standard output may take: those of the terminal, or what `COLUMNS` says. `None`: nobody has
/// a width, as the text goes into a file or to another program.
pub(crate) fn columns_of_output() -> Option<usize> {
    columns(terminal_size::terminal_size_of(std::io::stdout()))
}

/// The same for standard error.
pub(crate) fn columns_of_errors() -> Option<usize> {
    columns(terminal_size::terminal_size_of(std::io::stderr()))
}

fn columns(terminal: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    let asked = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let columns = asked.or(terminal.map(|(width, _)| match width.0 {
        // Nobody told the terminal its size.
        0 => WIDTH,
        width => usize::from(width),
    }));
    // Numbers alone take as much as the narrowest terminal that is still common has by half.
    columns.map(|columns| columns.max(WIDTH / 2))
}

/// `text` cut to `width` characters, marked as cut; control characters become `?`.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let clean = text
        .chars()
        .map(|each| if each.is_control() { '?' } else { each });
    let length = text.chars().count();
    if length <= width {
        return clean.collect();
    }
    clean
        .take(width.saturating_sub(3))
        .chain("...".chars())
        .collect()
}

#[cfg(test)]
pub(crate) fn assert_fits(text: &str) {
    for line in anstream::adapter::strip_str(text).to_string().lines() {
        assert!(
            line.chars().count() <= WIDTH,
            "{} columns: {line}",
            line.chars().count()
        );
        assert_eq!(line, line.trim_end(), "blanks at the end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_size_is_an_ordinary_one() {
        if std::env::var_os("COLUMNS").is_none() {
            let of = |width| {
                columns(Some((
                    terminal_size::Width(width),
                    terminal_size::Height(0),
                )))
            };
            assert_eq!([of(0), of(100)], [Some(WIDTH), Some(100)]);
        }
    }

    #[test]
    fn long_and_hostile_text_is_cut_and_cleaned() {
        assert_eq!(fitted("short", 10), "short");
        assert_eq!(fitted("exactly 10", 10), "exactly 10");
        assert_eq!(fitted("more than ten", 10), "more th...");
        assert_eq!(fitted("a\x1b[31m\n", 10), "a?[31m?");
    }
}
