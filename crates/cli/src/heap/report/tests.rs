//! Every view of every kind of profile fits the width it is made for.

use super::*;
use crate::arguments::heap::{By, NameArguments};
use clap::ValueEnum;

fn arguments(view: &[View], by: By) -> ReportArguments {
    ReportArguments {
        files: vec!["some/rather long name of a file/app.4711.heap".into()],
        view: view.to_vec(),
        by,
        limit: None,
        frames: 8,
        older_than: None,
        before_generation: None,
        within: 1_000_000,
        json: false,
        names: NameArguments::default(),
    }
}

const LONG: &str = "std::vector<std::map<std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >, \
    Entry, std::less<void> >, std::allocator<int> >::_M_realloc_insert(std::less<void> const&, unsigned long)";

fn details() -> Profile {
    Profile::read(include_bytes!(
        "../../../../profile/tests/data/details.heap"
    ))
    .expect("a dump")
}

fn named() -> Profile {
    let text = format!("main;{LONG};{LONG} 1234567890\nmain;run;{LONG};short 77\n");
    Profile::read(text.as_bytes()).expect("collapsed")
}

fn shown(profile: &Profile, arguments: &ReportArguments, width: Option<usize>) -> String {
    let context = Context {
        profile,
        arguments,
        width,
    };
    anstream::adapter::strip_str(&text(&context, &[])).to_string()
}

#[test]
fn every_view_fits_and_none_is_empty() {
    for profile in [details(), named()] {
        for width in [40, 60, 80, 120, 200] {
            for view in View::value_variants() {
                let text = shown(&profile, &arguments(&[*view], By::Live), Some(width));
                assert!(text.lines().count() > 5, "{text}");
                for line in text.lines() {
                    let length = line.chars().count();
                    assert!(length <= width, "{length} columns of {width}: {line}");
                    assert_eq!(line, line.trim_end());
                }
            }
        }
    }
}

#[test]
fn without_a_width_names_are_whole() {
    let text = shown(
        &named(),
        &arguments(&[View::Top, View::Tree, View::Paths], By::Live),
        None,
    );
    assert!(text.matches(LONG).count() >= 3, "{text}");
}

#[test]
fn leaks_are_chosen_by_age_and_generation() {
    let profile = details();
    let mut old = arguments(&[View::Leaks], By::Live);
    old.older_than = Some(5_000_000_000);
    let text = shown(&profile, &old, Some(80));
    assert!(
        text.contains("9.0 s old") && !text.contains("2.0 s"),
        "{text}"
    );
    let mut generation = arguments(&[View::Leaks], By::Live);
    generation.before_generation = Some(3);
    let text = shown(&profile, &generation, Some(80));
    assert!(
        text.contains("2.0 s old") && !text.contains("1.0 us"),
        "{text}"
    );
    let text = shown(&named(), &old, Some(80));
    assert!(text.contains("prof_details:true"), "{text}");
}

#[test]
fn sums_add_up_to_the_profile() {
    let profile = details();
    let tags = sums::tag_sums(&profile);
    let all: f64 = tags.iter().map(|sum| sum.cumulative.bytes).sum();
    assert!((all - profile.total(Measure::Cumulative).bytes).abs() < 1.0);
    assert_eq!(tags.iter().map(|sum| sum.tag).collect::<Vec<_>>(), [0, 7]);
    let threads = sums::thread_sums(&profile);
    assert_eq!(sums::thread_name(&profile, threads[1].id), "1 worker");
    let json = data::all(
        &Context {
            profile: &profile,
            arguments: &arguments(View::value_variants(), By::Cumulative),
            width: None,
        },
        &[],
    );
    for key in [
        "functions",
        "tree",
        "paths",
        "peak_paths",
        "leaks",
        "temporary",
        "classes",
        "threads",
        "tags",
    ] {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!(json["cumulative"]["bytes"], 1_062_144);
}
