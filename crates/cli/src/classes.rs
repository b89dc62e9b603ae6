//! `jemoxide classes`: the sizes that requests are rounded up to, as a table or as JSON.

use std::process::ExitCode;

use jemoxide::size::{CLASSES, PAGE, SMALL_CLASSES, SizeClass, slab_pages, slab_slots};
use serde::Serialize;

use crate::arguments::ClassesArguments;
use crate::failure::Failure;
use crate::screen::numbers::{count, exact_bytes};
use crate::screen::output;
use crate::screen::style::{FAINT, TITLE};
use crate::screen::table::{Side, Table};

/// Largest class that is shown without `--all`.
const SHOWN_BYTES: u64 = 64 << 10;

/// One line of the table.
#[derive(Debug, Serialize)]
struct Class {
    index: usize,
    size: u64,
    kind: Kind,
    /// Pages and objects of a slab; large classes have none.
    slab_pages: Option<usize>,
    slab_objects: Option<usize>,
    /// Share of a slab that no object can use.
    waste_percent: Option<f64>,
    /// Whether threads keep freed objects of it for themselves.
    cached: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Small,
    Large,
}

/// Prints the table.
pub(crate) fn print(arguments: &ClassesArguments) -> Result<ExitCode, Failure> {
    let classes: Vec<Class> = (0..CLASSES)
        .filter_map(SizeClass::new)
        .map(Class::of)
        .collect();
    let text = if arguments.json {
        serde_json::to_string_pretty(&classes).map_err(Failure::broken)? + "\n"
    } else {
        table(&classes, arguments.all)
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

impl Class {
    fn of(class: SizeClass) -> Self {
        let index = class.index();
        let slab = class
            .is_small()
            .then(|| (slab_pages(index), slab_slots(index)));
        Self {
            index,
            size: class.size() as u64,
            kind: if slab.is_some() {
                Kind::Small
            } else {
                Kind::Large
            },
            slab_pages: slab.map(|(pages, _)| pages),
            slab_objects: slab.map(|(_, objects)| objects),
            waste_percent: slab.map(|(pages, objects)| {
                let bytes = pages * PAGE;
                (bytes - objects * class.size()) as f64 * 100.0 / bytes as f64
            }),
            cached: class.is_cached(),
        }
    }
}

fn table(classes: &[Class], all: bool) -> String {
    let mut table = Table::new(&[
        ("class", Side::Right),
        ("size", Side::Right),
        ("kind", Side::Left),
        ("slab pages", Side::Right),
        ("objects", Side::Right),
        ("waste", Side::Right),
        ("cached", Side::Left),
    ]);
    let shown = classes
        .iter()
        .filter(|class| all || class.size <= SHOWN_BYTES);
    for class in shown {
        let number =
            |number: Option<usize>| number.map_or_else(String::new, |number| count(number as u64));
        table.row([
            class.index.to_string(),
            exact_bytes(class.size),
            if class.kind == Kind::Small {
                "small"
            } else {
                "large"
            }
            .to_owned(),
            number(class.slab_pages),
            number(class.slab_objects),
            class
                .waste_percent
                .map_or_else(String::new, |waste| format!("{waste:.2} %")),
            if class.cached { "yes" } else { "no" }.to_owned(),
        ]);
    }
    format!(
        "{TITLE}Size classes{TITLE:#}\n\n{}\n{}",
        table.text(2),
        legend(classes, all)
    )
}

fn legend(classes: &[Class], all: bool) -> String {
    let hidden = classes
        .iter()
        .filter(|class| class.size > SHOWN_BYTES)
        .count();
    let more = match classes.last() {
        Some(last) if !all => {
            format!(
                "  {hidden} more, up to {}: jemoxide classes --all\n",
                exact_bytes(last.size)
            )
        }
        _ => String::new(),
    };
    format!(
        "{FAINT}  A request gets the smallest class that holds it; above {small} it gets whole
  pages of {page} bytes, and the large class only says where it is counted.
  Small objects share slabs: runs of pages cut into equal objects; `waste` is
  what stays uncut. `cached`: threads keep freed objects for their next request.
{more}{FAINT:#}",
        small = exact_bytes(classes[SMALL_CLASSES - 1].size),
        page = PAGE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::assert_fits;

    fn classes() -> Vec<Class> {
        (0..CLASSES)
            .filter_map(SizeClass::new)
            .map(Class::of)
            .collect()
    }

    #[test]
    fn both_tables_fit_and_the_long_one_is_whole() {
        let classes = classes();
        let (short, long) = (table(&classes, false), table(&classes, true));
        assert_fits(&short);
        assert_fits(&long);
        assert!(short.contains("--all") && !long.contains("--all"));
        assert_eq!(
            long.lines().filter(|line| line.contains("large  ")).count(),
            CLASSES - SMALL_CLASSES
        );
        assert!(long.contains("7 EiB"));
    }

    #[test]
    fn slabs_add_up() {
        for class in classes().iter().take(SMALL_CLASSES) {
            let (pages, objects) = (
                class.slab_pages.expect("small"),
                class.slab_objects.expect("small"),
            );
            let used = objects as f64 * class.size as f64 / (pages * PAGE) as f64;
            let waste = class.waste_percent.expect("small") / 100.0;
            assert!((used + waste - 1.0).abs() < 1e-9, "{class:?}");
        }
    }
}
