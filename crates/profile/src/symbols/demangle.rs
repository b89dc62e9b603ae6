//! Demangle: names as people wrote them, from names as linkers want them.

/// The readable form of `symbol`; itself when it is none of Rust or C++.
pub fn demangled(symbol: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        // The alternate form leaves the hash out.
        return format!("{rust:#}");
    }
    // Clones that a compiler made: `_Z3foov.part.0`, `_Z3foov.constprop.1`.
    let (base, suffix) = match symbol.find('.') {
        Some(at) if symbol.starts_with("_Z") => symbol.split_at(at),
        _ => (symbol, ""),
    };
    let parsed = cpp_demangle::Symbol::new(base.as_bytes());
    match parsed.ok().and_then(|name| name.demangle().ok()) {
        Some(name) if suffix.is_empty() => name,
        Some(name) => format!("{name} [{}]", &suffix[1..]),
        None => symbol.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_and_cpp_names_become_readable_and_others_stay() {
        let cases = [
            ("main", "main"),
            (
                "_ZN3app5store5Table4load17h0123456789abcdefE",
                "app::store::Table::load",
            ),
            ("_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"),
            ("_Znwm", "operator new(unsigned long)"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_Z3foov.part.0", "foo() [part.0]"),
            ("_Znot mangled", "_Znot mangled"),
            ("", ""),
        ];
        for (symbol, name) in cases {
            assert_eq!(demangled(symbol), name);
        }
    }
}
