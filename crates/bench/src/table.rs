//! Table: aligned text that fits the terminal.
//!
//! A table too wide is cut into panels, each repeating the first columns, those that others are compared
//! with; no column is ever dropped.
//!
//! ```text
//! measure | ours | c2 | c3 | c4        measure | ours | c2
//!                               --->   measure | ours | c3 | c4
//! ```

use std::io::IsTerminal;

/// Space between two columns.
const GAP: usize = 2;

/// Width assumed where nothing tells.
const WIDTH_UNKNOWN: usize = 100;

/// A title, a header and rows of text; the first column is left-aligned, the others right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// One line above the table.
    pub(crate) title: String,
    /// Names of the columns.
    pub(crate) header: Vec<String>,
    /// How many of the first columns every panel has; the first one alone if 0.
    pub(crate) repeated: usize,
    /// As many cells as the header has.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// The table as text whose lines are at most `width` characters, as far as the repeated columns and
    /// one more fit.
    pub(crate) fn render(&self, width: usize) -> String {
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| self.column_width(column))
            .collect();
        let repeated = self.repeated.clamp(1, widths.len());
        let mut text = format!("{}\n", self.title);
        let mut next = repeated;
        loop {
            let mut columns: Vec<usize> = (0..repeated).collect();
            let mut used = total(&columns, &widths);
            while next < widths.len()
                && (columns.len() == repeated || used + GAP + widths[next] <= width)
            {
                used += GAP + widths[next];
                columns.push(next);
                next += 1;
            }
            text.push('\n');
            self.render_panel(&columns, &widths, &mut text);
            if next >= widths.len() {
                return text;
            }
        }
    }

    fn column_width(&self, column: usize) -> usize {
        std::iter::once(&self.header)
            .chain(&self.rows)
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    }

    fn render_panel(&self, columns: &[usize], widths: &[usize], text: &mut String) {
        for (index, row) in std::iter::once(&self.header).chain(&self.rows).enumerate() {
            let mut line = format!("{:<width$}", row[0], width = widths[0]);
            for &column in &columns[1..] {
                line += &format!("{:>width$}", row[column], width = GAP + widths[column]);
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if index == 0 {
                text.push_str(&"-".repeat(total(columns, widths)));
                text.push('\n');
            }
        }
    }
}

/// Width of `columns` side by side.
fn total(columns: &[usize], widths: &[usize]) -> usize {
    let sum: usize = columns.iter().map(|&column| GAP + widths[column]).sum();
    sum.saturating_sub(GAP)
}

/// Columns of the terminal: what `COLUMNS` says, else what the terminal says, else 100.
pub(crate) fn terminal_width() -> usize {
    if let Some(columns) = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()) {
        return columns;
    }
    if std::io::stdout().is_terminal() {
        // SAFETY: winsize is plain numbers, for which all zeroes is a value.
        let mut size: libc::winsize = unsafe { std::mem::zeroed() };
        // SAFETY: the call writes one winsize, to which the pointer leads.
        let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
        if done == 0 && size.ws_col > 0 {
            return usize::from(size.ws_col);
        }
    }
    WIDTH_UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn sample() -> Table {
        let text = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        Table {
            title: "title".to_owned(),
            header: text(["measure", "one", "two", "three"]),
            repeated: 1,
            rows: vec![
                text(["first", "1", "22", "333"]),
                text(["second", "4", "5", "6"]),
            ],
        }
    }

    #[test]
    fn a_wide_terminal_gets_one_panel() {
        let text = sample().render(80);
        assert_eq!(text.matches("measure").count(), 1);
        assert!(text.contains("first      1   22    333"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_gets_panels_and_loses_no_column() {
        let text = sample().render(18);
        assert_eq!(text.matches("measure").count(), 2, "{text}");
        for word in ["one", "two", "three", "333", "22"] {
            assert!(text.contains(word), "{word} is missing in {text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 18),
            "{text}"
        );
    }

    #[test]
    fn what_others_are_compared_with_is_in_every_panel() {
        let mut table = sample();
        table.repeated = 2;
        let text = table.render(20);
        assert_eq!(text.matches("measure  one").count(), 2, "{text}");
        assert_eq!(text.matches("three").count(), 1, "{text}");
    }
}
