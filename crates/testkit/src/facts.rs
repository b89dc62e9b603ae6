//! Facts: the tables of the C surface under `facts/`, as data for tests.
//!
//! Tab-separated text with one header line; a human edits them, a test compares them with the build.

/// One table: named columns over rows of text.
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<&'static str>>,
}

/// One row of a [`Table`].
#[derive(Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [&'static str],
    cells: &'a [&'static str],
}

/// Exported functions, variables and operators.
pub fn symbols() -> Table {
    Table::parse(include_str!("../facts/symbols.tsv"))
}

/// Every size class, its kind and its place among page classes.
pub fn size_classes() -> Table {
    Table::parse(include_str!("../facts/sizeclasses.tsv"))
}

/// Every name of jemalloc's mallctl: its type, what may be done with it, and its edges.
pub fn mallctl() -> Table {
    Table::parse(include_str!("../facts/mallctl.tsv"))
}

/// Every option: its type, what it takes, and its default.
pub fn options() -> Table {
    Table::parse(include_str!("../facts/options.tsv"))
}

/// Keys of options that are not there yet.
pub fn options_absent() -> Vec<&'static str> {
    list(include_str!("../facts/options_absent.txt"))
}

/// Names of mallctl that are not there yet.
pub fn mallctl_absent() -> Vec<&'static str> {
    list(include_str!("../facts/mallctl_absent.txt"))
}

/// A name a line, and comments.
fn list(text: &'static str) -> Vec<&'static str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// What statistics hold: paths of the JSON and their types, option letters, sections of the text.
pub fn stats() -> Table {
    Table::parse(include_str!("../facts/stats_json.tsv"))
}

/// Macros, types and fields of the C header.
pub fn header() -> Table {
    Table::parse(include_str!("../facts/header.tsv"))
}

/// The misuse suite: what is expected of each case at each level of hardening.
pub fn misuse() -> Table {
    Table::parse(include_str!("../facts/misuse.tsv"))
}

/// The same cases on other allocators, as last measured; the first row has their versions.
pub fn misuse_peers() -> Table {
    Table::parse(include_str!("../facts/misuse_peers.tsv"))
}

impl Table {
    /// Names of the columns.
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Splits `text`; panics on a row with more cells than the header has columns.
    pub fn parse(text: &'static str) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let columns: Vec<_> = lines.next().expect("a header line").split('\t').collect();
        let rows: Vec<Vec<_>> = lines.map(|line| line.split('\t').collect()).collect();
        for row in &rows {
            assert!(
                row.len() <= columns.len(),
                "more cells than columns: {row:?}"
            );
        }
        Self { columns, rows }
    }

    /// Goes through the rows in file order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row {
            columns: &self.columns,
            cells,
        })
    }
}

impl Row<'_> {
    /// Returns the cell under `column`, empty when the row ends before it.
    ///
    /// Panics if the table has no such column.
    pub fn get(&self, column: &str) -> &'static str {
        let at = self.columns.iter().position(|name| *name == column);
        let at = at.unwrap_or_else(|| panic!("no column {column}"));
        self.cells.get(at).copied().unwrap_or("")
    }

    /// Returns the cell under `column` as a number, `None` when empty. Panics on other text.
    pub fn number(&self, column: &str) -> Option<usize> {
        match self.get(column) {
            "" => None,
            text => Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{column}: not a number: {text}")),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn tables_have_the_rows_they_are_known_for() {
        let classes = super::size_classes();
        assert_eq!(classes.rows().count(), 232);
        let last = classes.rows().last().unwrap();
        assert_eq!(last.number("size"), Some(8_070_450_532_247_928_832));
        assert_eq!(last.number("slab_pages"), None);
        assert_eq!(
            super::symbols()
                .rows()
                .filter(|row| row.get("kind") == "cxx")
                .count(),
            20
        );
        assert!(
            super::header()
                .rows()
                .any(|row| row.get("name") == "MALLOCX_ZERO")
        );
    }
}
