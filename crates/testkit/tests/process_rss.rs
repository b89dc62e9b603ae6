//! Where is my RSS? The report adds up through the phases of a C program's life.

use jemoxide_testkit::{artifacts, child, compiler};

#[test]
fn the_report_adds_up_in_every_phase() {
    let source = "process/where_is_rss.c";
    let Some(program) = compiler::c(source, "where_is_rss", &["-pthread", "-ldl"]) else {
        return;
    };
    let run = child::Run::new(program)
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", "dirty_decay_ms:400");
    let outcome = run.run().expect_success();
    match outcome.stdout.as_str() {
        "done\n" => {}
        "not told\n" => println!("NOT TESTED: this system does not tell which pages have memory"),
        _ => panic!("{outcome}"),
    }
}
