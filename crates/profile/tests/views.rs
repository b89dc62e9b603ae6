//! Views add up to the profile that they show.

use jemoxide_profile::views::{ages, changes, function_changes, functions, lifetimes, paths, tree};
use jemoxide_profile::{Measure, Profile, Stack};

const STACKS: &str = "main;run;parse 4000\nmain;run;parse;parse 1000\nmain;run 500\nmain;log 250\n";

fn live(stack: &Stack) -> jemoxide_profile::Amount {
    stack.amount(Measure::Live)
}

fn collapsed(text: &str) -> Profile {
    Profile::read(text.as_bytes()).expect("collapsed")
}

#[test]
fn functions_count_recursion_once() {
    let profile = collapsed(STACKS);
    let rows = functions(&profile, live);
    let row = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).expect(name);
        (row.own.bytes, row.total.bytes)
    };
    assert_eq!(row("parse"), (5000.0, 5000.0));
    assert_eq!(row("run"), (500.0, 5500.0));
    assert_eq!(row("main"), (0.0, 5750.0));
    assert_eq!(rows[0].name, "parse");
}

#[test]
fn a_tree_adds_up_at_every_node() {
    let profile = collapsed(STACKS);
    let tree = tree(&profile, live);
    assert_eq!(tree.node(0).amount.bytes, 5750.0);
    for index in 0..tree.len() {
        let node = tree.node(index);
        let below: f64 = node
            .children
            .iter()
            .map(|&child| tree.node(child).amount.bytes)
            .sum();
        assert_eq!(node.amount.bytes, node.own.bytes + below, "{}", node.name);
    }
    let main = tree.node(tree.node(0).children[0]);
    assert_eq!(tree.node(main.children[0]).name, "run", "heaviest first");
}

#[test]
fn paths_are_heaviest_first_and_add_up() {
    let profile = collapsed(STACKS);
    let paths = paths(&profile, live);
    let bytes: Vec<_> = paths.iter().map(|path| path.amount.bytes).collect();
    assert_eq!(bytes, [5000.0, 500.0, 250.0], "recursion is one path");
    assert!(paths[0].frames[0].is_recursive && !paths[1].frames[0].is_recursive);
    let names: Vec<_> = paths[0].frames.iter().map(|frame| frame.name()).collect();
    assert_eq!(names, ["parse", "run", "main"]);
}

#[test]
fn changes_have_both_sides() {
    let (before, after) = (collapsed(STACKS), collapsed("main;run 900\nmain;new 7\n"));
    let all = changes(&before, &after, live);
    assert_eq!(all[0].frames, ["parse", "run", "main"]);
    assert_eq!(all[0].bytes(), -4000.0);
    let sum: f64 = all.iter().map(|change| change.bytes()).sum();
    assert_eq!(sum, 907.0 - 5750.0);
    let functions = function_changes(&before, &after, live);
    let run = functions
        .iter()
        .find(|change| change.frames == ["run"])
        .expect("there");
    assert_eq!((run.before.bytes, run.after.bytes), (500.0, 900.0));
    assert_eq!(changes(&before, &before, live)[0].bytes(), 0.0);
}

#[test]
fn ages_and_lifetimes_add_up() {
    let profile = Profile::read(include_bytes!("data/details.heap")).expect("a dump");
    let all = ages(&profile, |_| true);
    assert_eq!(
        (all[0].from_ns, all.last().map(|last| last.to_ns)),
        (0, Some(10_000_000_000))
    );
    let objects: f64 = all.iter().map(|range| range.amount.samples).sum();
    assert_eq!(objects, 3.0);
    let old = ages(&profile, |object| object.generation < 2);
    assert_eq!(old.len(), 1);
    let lives = lifetimes(&profile);
    assert_eq!((lives[0].from_ns, lives.len()), (1 << 20, 12));
    let bytes: f64 = lives.iter().map(|range| range.amount.bytes).sum();
    assert_eq!(bytes, 400_000.0);
}
