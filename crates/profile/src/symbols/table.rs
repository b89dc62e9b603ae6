//! Table: the symbol table of a file, by address.
//!
//! Names of functions only. Where several have one address the global one with the fewest underscores in front is taken:
//! `malloc` rather than `__libc_malloc`.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Functions in order of address.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    functions: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    address: u64,
    size: u64,
    name: Box<str>,
}

impl SymbolTable {
    /// Adds the functions of both of a file's tables; of one with more than `most` bytes, with its names, none.
    pub(super) fn add<'a>(&mut self, file: &impl Object<'a>, most: u64) {
        let bytes = |sections: [&str; 2]| {
            let sections = sections
                .iter()
                .filter_map(|name| file.section_by_name(name));
            sections
                .map(|section| section.size())
                .fold(0, u64::saturating_add)
        };
        if bytes([".symtab", ".strtab"]) <= most {
            self.functions.extend(file.symbols().filter_map(entry));
        }
        if bytes([".dynsym", ".dynstr"]) <= most {
            self.functions
                .extend(file.dynamic_symbols().filter_map(entry));
        }
    }

    /// To be called once, when all is added.
    pub(super) fn sort(&mut self) {
        let underscores = |name: &str| name.bytes().take_while(|&byte| byte == b'_').count();
        self.functions.sort_by(|one, two| {
            let rank = |entry: &Entry| (entry.address, underscores(&entry.name));
            rank(one)
                .cmp(&rank(two))
                .then_with(|| one.name.cmp(&two.name))
        });
        self.functions.dedup_by_key(|entry| entry.address);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The function that `address` lies in. One without a size reaches to the next.
    pub(super) fn find(&self, address: u64) -> Option<&str> {
        let above = self
            .functions
            .partition_point(|entry| entry.address <= address);
        let entry = self.functions[..above].last()?;
        let is_inside = entry.size == 0 || address - entry.address < entry.size;
        is_inside.then_some(&*entry.name)
    }
}

fn entry<'a>(symbol: impl ObjectSymbol<'a>) -> Option<Entry> {
    if symbol.kind() != SymbolKind::Text || symbol.is_undefined() {
        return None;
    }
    let name = symbol.name().ok().filter(|name| !name.is_empty())?;
    Some(Entry {
        address: symbol.address(),
        size: symbol.size(),
        name: name.into(),
    })
}
