//! Names: functions and places as short as a line wants them.
//!
//! ```text
//! std::map<std::string, Entry, std::less<std::string> >::operator[](std::string const&)      as it is
//! std::map<std::string, Entry, std::less<...> >::operator[](std::string const&)              inner brackets emptied
//! std::map<...>::operator[](...)                                                             outer ones, too; no result
//! std::map::operator[]                                                                       none left
//! ...p::operator[]                                                                           the end kept
//! ```

use jemoxide_profile::{Frame, Place};

/// `name` in at most `width` characters; its end is what tells functions apart.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    let clean: String = name
        .chars()
        .map(|each| if each.is_control() { '?' } else { each })
        .collect();
    let forms: [fn(&str) -> String; 5] = [
        str::to_owned,
        |name| emptied(name, 2),
        |name| emptied(name, 1),
        |name| without_result(&emptied(name, 0)).to_owned(),
        |name| bare(without_result(&emptied(name, 0))),
    ];
    let mut shortest = String::new();
    for form in forms {
        shortest = form(&clean);
        if shortest.chars().count() <= width {
            return shortest;
        }
    }
    let length = shortest.chars().count();
    let kept: String = shortest
        .chars()
        .skip(length - width.saturating_sub(3).min(length))
        .collect();
    let dots = "...".chars().take(width);
    dots.chain(kept.chars()).collect()
}

/// What stands in brackets deeper than `depth` becomes three dots.
fn emptied(name: &str, depth: usize) -> String {
    let mut text = String::new();
    let mut level: usize = 0;
    let mut rest = name;
    while let Some(each) = rest.chars().next() {
        // `operator<`, `operator->`, `operator()`: these are no brackets.
        if let Some(after) = rest.strip_prefix("operator") {
            let symbols = after.len() - after.trim_start_matches(['<', '>', '=', '-']).len();
            let symbols = if after.starts_with("()") {
                2
            } else {
                symbols.min(3)
            };
            let length = "operator".len() + symbols;
            if level <= depth {
                text.push_str(&rest[..length]);
            }
            rest = &rest[length..];
            continue;
        }
        // Rust's arrow.
        if let Some(after) = rest.strip_prefix("->") {
            if level <= depth {
                text.push_str("->");
            }
            rest = after;
            continue;
        }
        rest = &rest[each.len_utf8()..];
        match each {
            '<' | '(' | '{' => {
                level += 1;
                if level <= depth {
                    text.push(each);
                } else if level == depth.saturating_add(1) {
                    text.push(each);
                    // Nothing to leave out.
                    if !rest.starts_with(['>', ')', '}']) {
                        text.push_str("...");
                    }
                }
            }
            '>' | ')' | '}' => {
                if level <= depth.saturating_add(1) {
                    text.push(each);
                }
                level = level.saturating_sub(1);
            }
            _ if level <= depth => text.push(each),
            _ => {}
        }
    }
    text
}

/// Without the type of the result that C++ puts before the names of some functions: `int* f<...>(...)`.
fn without_result(emptied: &str) -> &str {
    let Some(parameters) = emptied.rfind("(...)").or_else(|| emptied.rfind("()")) else {
        return emptied;
    };
    // Types of conversion operators, and Rust's `<A as B>`, have blanks of their own.
    match emptied[..parameters].rfind(' ') {
        Some(blank) if !emptied[..blank].contains("operator") => &emptied[blank + 1..],
        _ => emptied,
    }
}

/// Without the brackets that are empty anyway, but for those that a name begins with.
fn bare(emptied: &str) -> String {
    let (start, rest) = match emptied.strip_prefix("<...>") {
        Some(rest) => ("<...>", rest),
        None => ("", emptied),
    };
    let rest = rest.strip_suffix(" const").unwrap_or(rest);
    let mut text = rest.replace("<...>", "").replace("(...)", "");
    if let Some(name) = text
        .strip_suffix("()")
        .filter(|name| !name.ends_with("operator"))
    {
        text.truncate(name.len());
    }
    format!("{start}{text}")
}

/// A place by the last two parts of its path: `src/store.rs:88`.
pub(crate) fn short_place(place: Place<'_>) -> String {
    let whole = place.to_string();
    let mut slashes = whole.rmatch_indices('/');
    match slashes.nth(1) {
        Some((at, _)) => whole[at + 1..].to_owned(),
        None => whole,
    }
}

/// One frame on one line: name and place, in `width` columns if there is a bound.
pub(crate) fn frame_line(frame: &Frame<'_>, width: Option<usize>) -> (String, String) {
    let name = frame.name();
    let Some(width) = width else {
        let place = frame.place().map(|place| place.to_string());
        return (name.into_owned(), place.unwrap_or_default());
    };
    // What is said of recursion takes room, too: `  (calls itself)`.
    let width = width - if frame.is_recursive { 16.min(width) } else { 0 };
    let place = frame.place().map(short_place).unwrap_or_default();
    // A place that would take more than half of the line is left out.
    let place = if place.chars().count() + 2 <= width / 2 {
        place
    } else {
        String::new()
    };
    let room = match place.chars().count() {
        0 => width,
        taken => width - taken - 2,
    };
    (shortened(&name, room), place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str =
        "std::map<std::string, Entry, std::less<std::string> >::operator[](std::string const&)";

    #[test]
    fn inner_brackets_go_first() {
        assert_eq!(shortened(MAP, 200), MAP);
        assert_eq!(
            shortened(MAP, 80),
            "std::map<std::string, Entry, std::less<...> >::operator[](std::string const&)"
        );
        assert_eq!(shortened(MAP, 40), "std::map<...>::operator[](...)");
        assert_eq!(shortened(MAP, 20), "std::map::operator[]");
        assert_eq!(shortened(MAP, 16), "...p::operator[]");
        let copy = "Node<int>* Tree<int, std::less<int> >::copy<false>(Node<int>*) const";
        assert_eq!(shortened(copy, 35), "Tree<...>::copy<...>(...) const");
        assert_eq!(shortened(copy, 20), "Tree::copy");
        let rust = "<alloc::vec::Vec<T,A> as core::iter::Extend<T>>::extend";
        assert_eq!(shortened(rust, 20), "<...>::extend");
    }

    #[test]
    fn operators_arrows_and_closures_are_no_brackets() {
        assert_eq!(emptied("a::operator<<(int)", 0), "a::operator<<(...)");
        assert_eq!(emptied("a::operator()(int)", 0), "a::operator()(...)");
        assert_eq!(emptied("a::operator->()", 0), "a::operator->()");
        assert_eq!(emptied("call<fn(u8) -> u8>::go", 0), "call<...>::go");
        assert_eq!(emptied("main::{closure#0}", 1), "main::{closure#0}");
        assert_eq!(emptied("broken>)>name", 0), "broken>)>name");
    }

    #[test]
    fn every_width_is_kept() {
        for name in [MAP, "", "é<é<é<é>>>::é", "a\nb"] {
            for width in 0..100 {
                assert!(
                    shortened(name, width).chars().count() <= width,
                    "{name} {width}"
                );
            }
        }
    }

    #[test]
    fn places_keep_their_end() {
        let place = |file, line| short_place(Place { file, line });
        assert_eq!(place("/home/me/app/src/store.rs", 88), "src/store.rs:88");
        assert_eq!(place("store.rs", 0), "store.rs");
        assert_eq!(place("a/store.rs", 1), "a/store.rs:1");
    }
}
