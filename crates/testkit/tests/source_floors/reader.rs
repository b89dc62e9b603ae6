//! One source file read by the floors test: its paths, its conditions, its words.
//!
//! Paths are resolved to the top-level module they lead to. Macro bodies are tokens without
//! grammar, so there every run of `name::name` counts as a path.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, Token, UseTree, punctuated::Punctuated};

use crate::{FLOORS, WITHOUT_UNSAFE};

/// Whether no build of the library compiles what carries `attributes`: test and loom builds only.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<Meta>()
                .is_ok_and(|meta| holds_in_library(&meta) == Some(false))
    })
}

/// Value of a `cfg` predicate in builds of the library; `None` where builds differ.
fn holds_in_library(meta: &Meta) -> Option<bool> {
    let list = match meta {
        Meta::Path(path) if path.is_ident("test") || path.is_ident("loom") => return Some(false),
        Meta::List(list) => list,
        _ => return None,
    };
    let parts = list
        .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
        .ok()?;
    let values: Vec<_> = parts.iter().map(holds_in_library).collect();
    let decisive = list.path.is_ident("any");
    if list.path.is_ident("not") {
        values[0].map(|value| !value)
    } else if values.contains(&Some(decisive)) {
        Some(decisive)
    } else if values.iter().all(|&value| value == Some(!decisive)) {
        Some(!decisive)
    } else {
        None
    }
}

/// Walks one file, knowing which module it is in and whether that is compiled for tests only.
pub(crate) struct Reader<'a> {
    path: &'a str,
    module: Vec<String>,
    is_test: bool,
    /// Names this file declares as modules or imports, which a path may start with.
    locals: HashSet<String>,
    found: &'a mut Vec<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        path: &'a str,
        module: Vec<String>,
        is_test: bool,
        found: &'a mut Vec<String>,
    ) -> Self {
        Self {
            path,
            module,
            is_test,
            locals: HashSet::new(),
            found,
        }
    }

    /// Adds every breach of the rules in `file`, parsed from `text`, to what was found.
    pub(crate) fn read(&mut self, file: &syn::File, text: &str) {
        self.visit_file(file);
        self.scan_words(text.parse().expect("it parsed before"));
    }

    fn complain(&mut self, span: Span, what: &str) {
        let line = span.start().line;
        self.found.push(format!("{}:{line}: {what}", self.path));
    }

    /// Rules F1 and F4 for one path.
    fn check_path(&mut self, span: Span, path: &[String], is_global: bool) {
        let text = path.join("::");
        let first = path[0].as_str();
        let is_crate_name = is_global || !self.locals.contains(first);
        if path.len() > 1 && matches!(first, "std" | "alloc") && is_crate_name && !self.is_test {
            self.complain(span, &format!("`{text}` outside tests"));
        }
        let Some(own) = self.module.first() else {
            return;
        };
        let target = match first {
            "crate" => path.get(1),
            "self" => Some(own),
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                // Above the root there is nothing; at the root the next word names the module.
                match self.module.len().checked_sub(ups) {
                    Some(0) | None => path.get(ups),
                    Some(_) => Some(own),
                }
            }
            _ => return,
        };
        let (Some(target), own) = (target, own.clone()) else {
            return;
        };
        let floor = |name: &str| FLOORS.iter().find(|(known, _)| *known == name).map(|f| f.1);
        match (floor(&own), floor(target)) {
            _ if own == *target => {}
            (Some(from), Some(to)) if to < from => {}
            (Some(from), Some(to)) if to == from => {
                self.complain(span, &format!("`{text}`: {own} and {target} are siblings"));
            }
            _ => self.complain(span, &format!("`{text}`: {target} is not below {own}")),
        }
    }

    fn check_use(&mut self, tree: &UseTree, before: &[String], is_global: bool) {
        let (word, rest) = match tree {
            UseTree::Path(path) => (&path.ident, Some(&path.tree)),
            UseTree::Name(name) => (&name.ident, None),
            UseTree::Rename(rename) => (&rename.ident, None),
            UseTree::Glob(glob) => {
                let path = [before, &["*".to_owned()]].concat();
                let span = glob.star_token.spans[0];
                return self.check_path(span, &path, is_global);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.check_use(tree, before, is_global);
                }
                return;
            }
        };
        let path = [before, &[word.to_string()]].concat();
        match rest {
            Some(tree) => self.check_use(tree, &path, is_global),
            None => self.check_path(word.span(), &path, is_global),
        }
    }

    /// Rules F1 and F4 inside a macro's tokens, where paths are not parsed.
    fn scan_paths(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let is_join = |index: usize| {
            matches!((tokens.get(index), tokens.get(index + 1)),
                (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)))
                    if a.as_char() == ':' && b.as_char() == ':')
        };
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index] {
                TokenTree::Group(group) => self.scan_paths(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let (true, Some(TokenTree::Ident(next))) =
                        (is_join(index + 1), tokens.get(index + 3))
                    {
                        path.push(next.to_string());
                        index += 3;
                    }
                    self.check_path(first.span(), &path, false);
                }
                _ => {}
            }
            index += 1;
        }
    }

    /// Rules F2 and F3: words of the whole file, wherever they stand.
    fn scan_words(&mut self, tokens: TokenStream) {
        let mut is_condition = false;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    is_condition = word == "cfg" || word == "cfg_attr";
                    let is_fenced = WITHOUT_UNSAFE
                        .iter()
                        .any(|part| self.path.starts_with(part));
                    if word == "unsafe" && is_fenced {
                        self.complain(word.span(), "`unsafe` where none is needed");
                    }
                }
                TokenTree::Group(group) => {
                    let is_outside = !self.path.starts_with("sys/");
                    if is_condition && is_outside && names_target(group.stream()) {
                        self.complain(group.span(), "`cfg(target_...)` outside sys/");
                    }
                    if !is_condition || group.delimiter() != Delimiter::Parenthesis {
                        self.scan_words(group.stream());
                    }
                    is_condition = false;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// Visits with the test mark raised where `attributes` say so.
    fn within(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.is_test;
        self.is_test |= is_for_tests(attributes);
        visit(self);
        self.is_test = before;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        for item in &file.items {
            match item {
                Item::Mod(child) => drop(self.locals.insert(child.ident.to_string())),
                Item::Use(import) => collect_names(&import.tree, &mut self.locals),
                _ => {}
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::ExternCrate(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        self.within(attributes, |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            _ => &[],
        };
        self.within(attributes, |reader| visit::visit_impl_item(reader, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        if (item.ident == "std" || item.ident == "alloc") && !self.is_test {
            self.complain(item.ident.span(), "`extern crate` outside tests");
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.check_use(&item.tree, &[], item.leading_colon.is_some());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        let span = path.segments[0].ident.span();
        self.check_path(span, &words, path.leading_colon.is_some());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.scan_paths(item.tokens.clone());
    }
}

/// Names that an import brings into scope, unless it is an import from the crate of that name.
fn collect_names(tree: &UseTree, names: &mut HashSet<String>) {
    match tree {
        UseTree::Path(path) if path.ident == "std" || path.ident == "alloc" => {}
        UseTree::Path(path) => collect_names(&path.tree, names),
        UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        UseTree::Rename(rename) => drop(names.insert(rename.rename.to_string())),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| collect_names(tree, names)),
        UseTree::Glob(_) => {}
    }
}

/// Whether a condition asks for anything about the target.
fn names_target(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word.to_string().starts_with("target_"),
        TokenTree::Group(group) => names_target(group.stream()),
        _ => false,
    })
}
