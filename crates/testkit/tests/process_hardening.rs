//! Hardening, from outside: what sound programs do at its levels, what a callback may do, what guarded pages tell.

use std::time::Duration;

use jemoxide_testkit::child::{Outcome, Run, rerun};
use jemoxide_testkit::{artifacts, compiler};

const LEVELS: [&str; 2] = ["hardening:strong", "hardening:paranoid"];

/// Far above the seconds that a run takes on two processors.
const TIMEOUT: Duration = Duration::from_secs(300);

fn run(program: &std::path::Path, arguments: &[&str], options: &str) -> Outcome {
    Run::new(program)
        .args(arguments)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .timeout(TIMEOUT)
        .run()
}

/// Runs a program of the process tests at both levels; it succeeds and tells nothing of misuse.
fn is_sound(source: &str, name: &str, arguments: &[&str]) {
    let Some(program) = compiler::c(source, name, &[]) else {
        return;
    };
    for options in LEVELS {
        let outcome = run(&program, arguments, options).expect_success();
        assert!(
            !outcome.stderr.contains("<jemoxide>"),
            "{options}: {outcome}"
        );
    }
}

#[test]
fn threads_come_and_go_and_hand_memory_on() {
    is_sound("process/thread_churn.c", "hard_thread_churn", &["20"]);
    is_sound("process/handover.c", "hard_handover", &[]);
}

#[test]
fn sizes_and_alignments_are_what_a_sound_program_says() {
    let flags = ["-O1", "-fno-builtin", "-pthread"];
    let Some(program) = compiler::c("process/sound.c", "sound", &flags) else {
        return;
    };
    let sampled = [
        "guarded_sampling:1",
        "guarded_sampling:7",
        "hardening:strong,guarded_sampling:1",
        "hardening:paranoid,guarded_sampling:2",
        "",
    ];
    for options in LEVELS.into_iter().chain(sampled) {
        let outcome = run(&program, &[], options).expect_success();
        assert_eq!(
            (outcome.stdout.as_str(), outcome.stderr.as_str()),
            ("sound\n", ""),
            "{options}: {outcome}"
        );
    }
}

#[test]
fn processes_fork_amid_threads() {
    is_sound(
        "process/fork_storm.c",
        "hard_fork_storm",
        &["main", "4", "20"],
    );
    is_sound("process/new_processes.c", "hard_new_processes", &[]);
}

#[test]
fn cxx_containers_and_exceptions_work() {
    for name in ["containers", "exceptions"] {
        let hard = format!("hard_{name}");
        let Some(program) = compiler::cxx(&format!("cxx/{name}.cpp"), &hard, &[]) else {
            return;
        };
        for options in LEVELS {
            run(&program, &[], options).expect_success();
        }
    }
}

/// What the program replaces makes its objects by `malloc`: the forms that lead there must not be taken for others.
#[test]
fn programs_may_replace_any_operators_of_cxx() {
    for name in [
        "plain",
        "array",
        "aligned",
        "aligned_array",
        "plain_and_array",
        "plain_and_aligned",
        "throwing",
        "nothing",
    ] {
        let hard = format!("hard_replaced_{name}");
        let Some(program) = compiler::cxx(&format!("cxx/replaced_{name}.cpp"), &hard, &[]) else {
            return;
        };
        for options in LEVELS {
            run(&program, &[], options).expect_success();
        }
    }
}

/// What programs do with arenas of their own, with hooks and without.
#[test]
fn arenas_made_by_request_are_used_as_ever() {
    let flags = ["-pthread", "-fno-builtin"];
    let Some(program) = compiler::c("process/arenas.c", "arenas", &flags) else {
        return;
    };
    let cases = [
        "objects", "life", "nodump", "shared", "thousand", "threads", "fork", "nested", "batch",
        "churn", "leave", "rebind",
    ];
    for options in LEVELS {
        for case in cases {
            let outcome = run(&program, &[case], options).expect_success();
            let said = (outcome.stdout.as_str(), outcome.stderr.as_str());
            assert_eq!(said, ("done\n", ""), "{case} at {options}: {outcome}");
        }
    }
}

/// Whose an object is, whatever asked for it, whatever frees it, and what a reset leaves of it.
#[test]
fn objects_of_arenas_made_by_request_are_hardened() {
    let flags = ["-pthread", "-fno-builtin"];
    let Some(program) = compiler::c("process/hard_arenas.c", "hard_arenas", &flags) else {
        return;
    };
    for options in LEVELS {
        let options = format!("{options},prof:true,lg_prof_sample:10");
        let outcome = run(&program, &[], &options).expect_success();
        let said = (outcome.stdout.as_str(), outcome.stderr.as_str());
        assert_eq!(said, ("done\n", ""), "{options}: {outcome}");
    }
}

/// A library with a C++ runtime of its own frees by `free` what another made by `new`: what is wrong in one program is sound in
/// the next.
#[test]
fn families_are_told_apart_where_they_are_to_be() {
    let Some(program) = compiler::cxx("cxx/built_in_runtime.cpp", "hard_families", &[]) else {
        return;
    };
    for level in LEVELS {
        let told = run(&program, &[], level);
        let line = "<jemoxide>: wrong deallocation function: ";
        assert!(told.stderr.starts_with(line), "{level}: {told}");
        assert!(told.stderr.contains("hardening_families:false"), "{told}");
        let options = format!("{level},hardening_families:false");
        let quiet = run(&program, &[], &options).expect_success();
        assert_eq!(quiet.stderr, "", "{options}: {quiet}");
    }
}

#[test]
fn a_callback_lets_the_program_go_on_as_it_was() {
    let Some(program) = compiler::c("process/hardening.c", "hardening", &["-O1"]) else {
        return;
    };
    for options in LEVELS {
        let outcome = run(&program, &["callback"], options).expect_success();
        assert_eq!(outcome.stdout, "52 told\n", "{options}: {outcome}");
        assert_eq!(outcome.stderr, "", "{options}: {outcome}");
    }
}

/// A refused access of freed pages: what the program did about the signal stays what it was.
#[test]
fn a_trap_is_told_and_is_the_program_s_as_before() {
    let flags = ["-O1", "-rdynamic"];
    let Some(program) = compiler::c("process/traps.c", "traps", &flags) else {
        return;
    };
    const LINE: &str = "<jemoxide>: use after free: a freed object was touched: 0x";
    for options in LEVELS {
        let chained = run(&program, &["chain"], options).expect_code(7);
        assert_eq!(chained.stdout, "as it was\n", "{options}: {chained}");
        assert!(chained.stderr.starts_with(LINE), "{options}: {chained}");

        let once = run(&program, &["reset"], options);
        assert_eq!(
            (once.signal, once.stdout.as_str()),
            (Some(libc::SIGSEGV), "once\n"),
            "{options}: {once}"
        );

        let traced = run(&program, &["default"], options).expect_success();
        assert_eq!(traced.stdout, "died at the access\n", "{traced}");
        assert!(traced.stderr.starts_with(LINE), "{options}: {traced}");

        let heard = run(&program, &["callback"], options);
        assert_eq!(heard.signal, Some(libc::SIGSEGV), "{options}: {heard}");
        assert!(
            heard.stdout.starts_with(&format!("heard: {LINE}")),
            "{heard}"
        );
        assert_eq!(heard.stderr, "", "{options}: {heard}");

        let message = run(&program, &["message"], options);
        assert_eq!(message.signal, Some(libc::SIGSEGV), "{options}: {message}");
        assert_eq!(message.stdout, "", "{options}: {message}");
        assert!(message.stderr.starts_with(LINE), "{options}: {message}");
    }
}

/// Whoever tells of a fault is outside the gate, in the signal's handler and at the end of a slow path alike.
#[test]
fn a_fork_does_not_wait_for_who_tells_of_a_fault() {
    let flags = ["-O1", "-rdynamic", "-pthread"];
    let Some(program) = compiler::c("process/traps.c", "traps_and_forks", &flags) else {
        return;
    };
    let lines = |outcome: &Outcome| -> Vec<String> {
        let begin = |line: &str| line.split(": ").take(3).collect::<Vec<_>>().join(": ");
        let lines = outcome.stdout.lines().filter(|line| !line.is_empty());
        lines.map(begin).collect()
    };
    for options in LEVELS {
        let trapped = run(&program, &["fork"], options);
        assert_eq!(trapped.signal, Some(libc::SIGSEGV), "{options}: {trapped}");
        let heard = "heard: <jemoxide>: use after free";
        assert_eq!(lines(&trapped), [heard, "forked"], "{options}: {trapped}");
        assert_eq!(trapped.stderr, "", "{options}: {trapped}");

        let left = run(&program, &["fork_exit"], options).expect_code(7);
        let heard = "heard: <jemoxide>: overflow";
        let all = [heard, "forked", heard, heard];
        assert_eq!(lines(&left), all, "{options}: {left}");
        assert_eq!(left.stderr, "", "{options}: {left}");
    }
}

/// Rust's runtime tells a stack overflow by the same signal, and asks for it only where nobody has: a child of this program.
#[test]
fn rust_still_tells_of_an_overflown_stack() {
    for options in LEVELS.into_iter().chain(["guarded_sampling:50"]) {
        let Some(child) = rerun("rust_still_tells_of_an_overflown_stack") else {
            deepen(&[0; 1000], 0);
            return;
        };
        let child = child.preload(artifacts::library());
        let outcome = child.env("MALLOC_CONF", options).timeout(TIMEOUT).run();
        assert_eq!(outcome.signal, Some(libc::SIGABRT), "{options}: {outcome}");
        assert!(
            outcome.stderr.contains("has overflowed its stack"),
            "{options}: {outcome}"
        );
    }
}

/// Calls itself until the stack is used up.
fn deepen(before: &[u8; 1000], depth: usize) -> usize {
    if depth == usize::MAX {
        return 0;
    }
    let mut here = *before;
    here[1] = here[1].wrapping_add(1);
    let deeper = deepen(std::hint::black_box(&here), depth + 1);
    deeper + usize::from(std::hint::black_box(&here)[1])
}

#[test]
fn what_is_said_to_be_resident_is() {
    let Some(program) = compiler::c("process/resident.c", "resident", &["-O1"]) else {
        return;
    };
    for options in LEVELS.into_iter().chain(["hardening:standard"]) {
        let conf = format!("{options},dirty_decay_ms:0,muzzy_decay_ms:0,quarantine:4194304");
        let outcome = run(&program, &[], &conf).expect_success();
        println!("{options}: {}", outcome.stdout);
        let pairs: Vec<(i64, i64)> = outcome
            .stdout
            .lines()
            .map(|line| {
                let (library, system) = line.split_once(' ').expect("two figures");
                (library.parse().unwrap(), system.parse().unwrap())
            })
            .collect();
        assert_eq!(pairs.len(), 4, "{options}: {outcome}");
        for (library, system) in pairs {
            // Free slots of slabs, and records, have no memory before they are written, and live objects count with their
            // class: measured, 7.3 % at most.
            let tolerance = system / 8;
            assert!((library - system).abs() < tolerance, "{options}: {outcome}");
        }
    }
}

#[test]
fn guarded_pages_tell_who_made_and_who_freed() {
    let Some(program) = compiler::c("process/hardening.c", "hardening_sampled", &["-O1"]) else {
        return;
    };
    let sampled = "guarded_sampling:5";
    for (what, signal, words) in [
        (
            "over",
            libc::SIGSEGV,
            "out of bounds: a guard beside an object",
        ),
        ("after", libc::SIGSEGV, "use after free"),
        ("twice", libc::SIGABRT, "double free"),
    ] {
        let outcome = run(&program, &[what], sampled);
        assert_eq!(outcome.signal, Some(signal), "{what}: {outcome}");
        let line = outcome.stderr.trim_end();
        assert!(
            line.starts_with("<jemoxide>: ") && !line.contains('\n'),
            "{outcome}"
        );
        assert!(
            line.contains(words) && line.contains("48 bytes by malloc"),
            "{outcome}"
        );
        assert!(line.contains("allocated at 0x"), "{outcome}");
        assert_eq!(line.contains("freed at 0x"), what != "over", "{outcome}");
    }
    let outcome = run(&program, &["handler"], sampled).expect_code(7);
    assert!(outcome.stderr.contains("use after free"), "{outcome}");
    assert_eq!(outcome.stdout, "the program's own handler\n", "{outcome}");
    let outcome = run(&program, &["after"], "guarded_sampling:0").expect_success();
    assert_eq!(outcome.stdout, "the end\n", "{outcome}");
}

/// What lies alone is told with whole stacks at every level, where others have none.
#[test]
fn guarded_pages_tell_the_same_at_every_level() {
    let Some(program) = compiler::c("process/hardening.c", "hardening_alone", &["-O1"]) else {
        return;
    };
    let (refused, aborted) = (Some(libc::SIGSEGV), Some(libc::SIGABRT));
    for level in ["hardening:off", "hardening:standard"]
        .into_iter()
        .chain(LEVELS)
    {
        let options = format!("{level},hardening_stacks:0,guarded_sampling:3");
        let told = [
            ("alone_over", refused, "out of bounds: a guard beside"),
            ("alone_beyond", aborted, "overflow: bytes behind"),
            ("alone_after", refused, "use after free"),
            ("alone_twice", aborted, "double free"),
            ("alone_exit", aborted, "overflow: bytes behind"),
        ];
        for (what, signal, words) in told {
            if what == "alone_exit" && !LEVELS.contains(&level) {
                continue;
            }
            let outcome = run(&program, &[what], &options);
            assert_eq!(outcome.signal, signal, "{what}, {options}: {outcome}");
            let line = outcome.stderr.trim_end();
            let is_freed = ["alone_after", "alone_twice"].contains(&what);
            assert!(
                line.starts_with("<jemoxide>: ")
                    && !line.contains('\n')
                    && line.contains(words)
                    && line.contains("48 bytes by malloc")
                    && line.contains("allocated at 0x")
                    && line.contains("freed at 0x") == is_freed,
                "{what}, {options}: {outcome}"
            );
        }
        let outcome = run(&program, &["alone_child"], &options).expect_success();
        let said = (outcome.stdout.as_str(), outcome.stderr.as_str());
        assert_eq!(said, ("the end\n", ""), "{options}: {outcome}");
    }
}
