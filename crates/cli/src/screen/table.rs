//! Table: columns as wide as their widest cell.
//!
//! Widths are those of the plain text; style goes around a cell after it has been padded.

use std::fmt::Write;

use anstyle::Style;

use crate::screen::style::TITLE;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells under one row of titles.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Side)>,
    rows: Vec<Vec<(String, Style)>>,
}

const GAP: &str = "  ";

impl Table {
    /// An empty table with these titles.
    pub(crate) fn new(columns: &[(&str, Side)]) -> Self {
        let columns = columns
            .iter()
            .map(|&(title, side)| (title.to_owned(), side))
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// One more row, plain.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.styled_row(cells.into_iter().map(|cell| (cell.into(), Style::new())));
    }

    /// One more row, each cell with its style; control characters in them become `?`.
    pub(crate) fn styled_row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        let clean = |cell: String| {
            if cell.contains(char::is_control) {
                cell.replace(char::is_control, "?")
            } else {
                cell
            }
        };
        let row: Vec<_> = cells
            .into_iter()
            .map(|(cell, style)| (clean(cell), style))
            .collect();
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The text, every line indented by `indent` blanks.
    pub(crate) fn text(&self, indent: usize) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| self.width(column))
            .collect();
        let titles = self
            .columns
            .iter()
            .map(|(title, _)| (title.as_str(), TITLE));
        let mut text = String::new();
        if self.columns.iter().any(|(title, _)| !title.is_empty()) {
            self.line(&mut text, indent, &widths, titles);
        }
        for row in &self.rows {
            self.line(
                &mut text,
                indent,
                &widths,
                row.iter().map(|(cell, style)| (cell.as_str(), *style)),
            );
        }
        text
    }

    /// The same in `width` columns, where there is a bound: as many of the columns `spare` are left out as it takes, the
    /// first first.
    pub(crate) fn text_within(
        &self,
        indent: usize,
        width: Option<usize>,
        spare: &[usize],
    ) -> String {
        let mut left: Vec<usize> = (0..self.columns.len()).collect();
        let takes = |left: &[usize]| {
            let cells: usize = left.iter().map(|&column| self.width(column)).sum();
            indent + cells + left.len().saturating_sub(1) * GAP.len()
        };
        for goes in spare {
            if width.is_none_or(|width| takes(&left) <= width) {
                break;
            }
            left.retain(|column| column != goes);
        }
        let columns = left.iter().map(|&column| self.columns[column].clone());
        let row =
            |row: &Vec<(String, Style)>| left.iter().map(|&column| row[column].clone()).collect();
        let table = Self {
            columns: columns.collect(),
            rows: self.rows.iter().map(row).collect(),
        };
        table.text(indent)
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].0.as_str());
        cells
            .chain([self.columns[column].0.as_str()])
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    }

    fn line<'a>(
        &self,
        text: &mut String,
        indent: usize,
        widths: &[usize],
        cells: impl Iterator<Item = (&'a str, Style)>,
    ) {
        // Blanks are held back until something follows them: no line ends in blanks.
        let mut blanks = indent;
        for ((cell, style), ((_, side), &width)) in cells.zip(self.columns.iter().zip(widths)) {
            let room = width - cell.chars().count();
            if cell.is_empty() {
                blanks += room + GAP.len();
                continue;
            }
            if *side == Side::Right {
                blanks += room;
            }
            // Writing to a String cannot fail.
            let _ = write!(text, "{:blanks$}{style}{cell}{style:#}", "");
            blanks = GAP.len() + if *side == Side::Left { room } else { 0 };
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstream::adapter::strip_str;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("name", Side::Left), ("n", Side::Right), ("", Side::Left)]);
        table.row(["a", "1000", "what"]);
        table.row(["longer", "7", ""]);
        assert_eq!(
            strip_str(&table.text(2)).to_string(),
            "  name       n\n  a       1000  what\n  longer     7\n"
        );
    }

    #[test]
    fn spare_columns_go_in_their_order_until_the_rest_fits() {
        let mut table = Table::new(&[("name", Side::Left), ("n", Side::Right), ("m", Side::Right)]);
        table.row(["a", "1000", "20"]);
        let within = |width| strip_str(&table.text_within(0, Some(width), &[2, 1])).to_string();
        assert_eq!(within(14), "name     n   m\na     1000  20\n");
        assert_eq!(within(13), "name     n\na     1000\n");
        assert_eq!(within(9), "name\na\n");
        assert_eq!(within(1), "name\na\n", "what is not spare stays");
    }

    #[test]
    fn hostile_cells_are_cleaned() {
        let mut table = Table::new(&[("x", Side::Left)]);
        table.row(["a\x1b[31m\nb"]);
        assert_eq!(strip_str(&table.text(0)).to_string(), "x\na?[31m?b\n");
    }

    #[test]
    fn style_does_not_count_as_width() {
        let mut table = Table::new(&[("x", Side::Right)]);
        table.styled_row([("12".to_owned(), TITLE)]);
        table.row(["1"]);
        assert_eq!(strip_str(&table.text(0)).to_string(), " x\n12\n 1\n");
    }
}
