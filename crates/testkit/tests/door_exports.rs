//! What the shared library shows to the loader: its symbols, name by name, and the few dynamic
//! properties that its promises rest on. Read from the file itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jemoxide_testkit::{artifacts, facts};
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::{LittleEndian, ReadRef};

/// One exported symbol, or one line of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Export {
    name: String,
    kind: String,
    binding: String,
}

/// The list that a human keeps, by section.
fn list() -> BTreeMap<String, BTreeSet<Export>> {
    let mut sections: BTreeMap<String, BTreeSet<Export>> = BTreeMap::new();
    let mut section = String::new();
    let lines = include_str!("../facts/exports.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.to_owned();
            continue;
        }
        let [kind, binding, name] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not a line: {line}")
        };
        let export = Export {
            name: name.into(),
            kind: kind.into(),
            binding: binding.into(),
        };
        assert!(
            sections.entry(section.clone()).or_default().insert(export),
            "twice: {line}"
        );
    }
    assert_eq!(sections.keys().collect::<Vec<_>>(), ["never", "now"]);
    sections
}

/// What the test wants to know about a shared library.
#[derive(Default)]
struct Facts {
    exports: BTreeSet<Export>,
    needed: BTreeSet<String>,
    soname: Option<String>,
    flags: u64,
    flags_1: u64,
    has_text_relocations: bool,
    has_relro: bool,
    is_stack_executable: bool,
    /// Size and alignment of the thread-local segment.
    tls: Option<(u64, u64)>,
}

impl Facts {
    fn of_library() -> Self {
        let data = fs::read(artifacts::library()).expect("the library was built");
        Self::read(&*data).expect("the library is well-formed ELF")
    }

    fn read<'data, R: ReadRef<'data>>(data: R) -> object::Result<Self> {
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
        let mut facts = Self::default();
        for symbol in symbols.iter().filter(|symbol| !symbol.is_undefined(endian)) {
            if symbol.name(endian, symbols.strings())?.is_empty() {
                continue;
            }
            let kind = match symbol.st_type() {
                elf::STT_FUNC => "func",
                elf::STT_OBJECT => "data",
                _ => "other",
            };
            let binding = match symbol.st_bind() {
                elf::STB_GLOBAL => "strong",
                elf::STB_WEAK => "weak",
                _ => "other",
            };
            let name =
                String::from_utf8_lossy(symbol.name(endian, symbols.strings())?).into_owned();
            facts.exports.insert(Export {
                name,
                kind: kind.into(),
                binding: binding.into(),
            });
        }
        let (dynamic, link) = sections.dynamic(endian, data)?.expect("a dynamic section");
        let strings = sections.strings(endian, data, link)?;
        for entry in dynamic {
            let value = entry.d_val(endian);
            let text = || {
                let at = u32::try_from(value).expect("string tables are small");
                String::from_utf8_lossy(strings.get(at).expect("a string")).into_owned()
            };
            match u32::try_from(entry.d_tag(endian)).unwrap_or(0) {
                elf::DT_NEEDED => drop(facts.needed.insert(text())),
                elf::DT_SONAME => facts.soname = Some(text()),
                elf::DT_FLAGS => facts.flags = value,
                elf::DT_FLAGS_1 => facts.flags_1 = value,
                elf::DT_TEXTREL => facts.has_text_relocations = true,
                _ => {}
            }
        }
        for segment in header.program_headers(endian, data)? {
            match segment.p_type(endian) {
                elf::PT_TLS => facts.tls = Some((segment.p_memsz(endian), segment.p_align(endian))),
                elf::PT_GNU_RELRO => facts.has_relro = true,
                elf::PT_GNU_STACK => {
                    facts.is_stack_executable = segment.p_flags(endian) & elf::PF_X != 0
                }
                _ => {}
            }
        }
        Ok(facts)
    }
}

#[test]
fn exactly_the_listed_symbols_are_exported() {
    let (listed, found) = (list(), Facts::of_library().exports);
    let missing: Vec<_> = listed["now"].difference(&found).collect();
    let extra: Vec<_> = found.difference(&listed["now"]).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing: {missing:#?}\nnot in facts/exports.txt: {extra:#?}"
    );
}

#[test]
fn the_list_decides_about_every_known_symbol() {
    let listed = list();
    let decided: BTreeMap<_, _> = listed
        .iter()
        .flat_map(|(section, exports)| {
            exports
                .iter()
                .map(move |export| (export.name.as_str(), (section, export)))
        })
        .collect();
    assert_eq!(
        decided.len(),
        listed.values().map(BTreeSet::len).sum::<usize>(),
        "a name in two sections"
    );
    for row in facts::symbols().rows() {
        let name = row.get("symbol");
        let Some((section, export)) = decided.get(name) else {
            panic!("facts/exports.txt says nothing of {name}")
        };
        let kind = if row.get("kind") == "var" {
            "data"
        } else {
            "func"
        };
        assert_eq!(export.kind, kind, "{name}");
        let is_default = row.get("build_condition").starts_with("default build");
        assert!(
            !is_default || *section != "never" || name.starts_with("je_test_"),
            "{name} is in every build"
        );
        let is_operator = row.get("kind") == "cxx";
        assert!(!is_operator || *section == "now", "{name} is due");
        assert_eq!(
            is_operator,
            export.binding == "weak" && export.kind == "func",
            "{name}"
        );
    }
}

#[test]
fn what_debians_package_exports_is_exported() {
    let found = Facts::of_library().exports;
    let table = facts::symbols();
    let debians = table
        .rows()
        .filter(|row| row.get("debian_5.3.0-1") == "yes")
        .map(|row| row.get("symbol"));
    let missing: BTreeSet<_> = debians
        .filter(|name| !found.iter().any(|export| export.name == *name))
        .collect();
    // Seams for the original's own tests.
    let seams = ["je_test_hooks_arena_new_hook", "je_test_hooks_libc_hook"];
    assert_eq!(missing, BTreeSet::from(seams));
}

#[test]
fn the_library_needs_libc_only() {
    let mut needed = Facts::of_library().needed;
    needed.remove("ld-linux-x86-64.so.2");
    assert_eq!(needed, BTreeSet::from(["libc.so.6".to_owned()]));
}

#[test]
fn the_library_is_named_and_stays_loaded() {
    let facts = Facts::of_library();
    assert_eq!(facts.soname.as_deref(), Some("libjemoxide.so.0"));
    assert_ne!(
        facts.flags_1 & u64::from(elf::DF_1_NODELETE),
        0,
        "it may not be unloaded: threads hold its memory"
    );
}

#[test]
fn the_library_is_hardened_as_usual() {
    let facts = Facts::of_library();
    assert!(
        !facts.has_text_relocations && facts.flags & u64::from(elf::DF_TEXTREL) == 0,
        "code is not patched"
    );
    assert!(facts.has_relro, "relocated data is read-only afterwards");
    assert!(!facts.is_stack_executable);
}

/// One word: it fits into what the loader keeps spare for libraries that come late.
#[test]
fn thread_local_storage_is_one_word() {
    assert_eq!(Facts::of_library().tls, Some((8, 8)));
}
