//! The C door as C++ programs see it: operators, new-handlers, exceptions and ordinary containers, in
//! every way a program can be linked; and operator new where the C++ runtime is missing or comes late.

use jemoxide_testkit::linkage::Linkage;
use jemoxide_testkit::{artifacts, child, compiler};

fn passes(linkage: Linkage, source: &str) {
    if let Some(run) = linkage.cxx(source) {
        run.run().expect_success();
    }
}

macro_rules! in_every_linkage {
    ($($name:ident)*) => {
        in_every_linkage!(preloaded Preloaded: $($name)*);
        in_every_linkage!(linked Linked: $($name)*);
        in_every_linkage!(linked_statically Static: $($name)*);
        in_every_linkage!(fully_static FullyStatic: $($name)*);
    };
    ($module:ident $linkage:ident: $($name:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::passes(super::Linkage::$linkage, concat!("cxx/", stringify!($name), ".cpp"));
                }
            )*
        }
    };
}

in_every_linkage! {
    operators new_handler exceptions containers own_operators
    replaced_plain replaced_array replaced_aligned replaced_aligned_array replaced_plain_and_array
    replaced_plain_and_aligned replaced_throwing replaced_nothing
}

/// A program that is not moved has an entry of its own under the name of a function whose address it takes: no replacement.
#[test]
fn an_operator_whose_address_is_taken_stays_ours() {
    let flags = ["-no-pie", "-fno-pie", "-O1"];
    let Some(program) = compiler::cxx("cxx/operator_address.cpp", "operator_address", &flags)
    else {
        return;
    };
    for level in ["standard", "strong", "paranoid"] {
        let outcome = child::Run::new(&program)
            .preload(artifacts::library())
            .env("JEMOXIDE_CONF", format!("hardening:{level}"))
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "sound\n", "{level}");
        assert_eq!(outcome.stderr, "", "{level}");
    }
}

/// Nothing but bad_alloc may be swallowed silently, and nothing may unwind through `noexcept`.
#[test]
fn nothrow_new_ends_soundly_when_the_handler_throws_an_int() {
    let Some(run) = Linkage::Preloaded.cxx("cxx/new_handler.cpp") else {
        return;
    };
    let outcome = run.arg("nothrow_meets_an_int").run();
    match outcome.status {
        Some(_) => assert_eq!(outcome.expect_success().stdout, "null\n"),
        None => drop(outcome.expect_death("terminate called after throwing an instance of 'int'")),
    }
}

/// Where nothing can be thrown, a failing throwing `new` says so and aborts; it never gives null.
#[test]
fn new_without_the_runtime_aborts_with_a_message() {
    for linkage in [Linkage::Preloaded, Linkage::Linked] {
        let Some(run) = linkage.c("door/new_without_runtime.c") else {
            return;
        };
        let outcome = run
            .arg("0x4000000000000")
            .run()
            .expect_death("about to fail\n");
        let message = outcome
            .stderr
            .strip_prefix("about to fail\n")
            .expect("nothing before it");
        assert!(message.starts_with("<jemoxide>: "), "{outcome}");
        assert_eq!(message.matches('\n').count(), 1, "one line: {outcome}");
    }
}

/// The same program succeeds when the size can be had: the abort above is not for any call.
#[test]
fn new_without_the_runtime_works() {
    for linkage in [Linkage::Preloaded, Linkage::Linked] {
        let Some(run) = linkage.c("door/new_without_runtime.c") else {
            return;
        };
        run.arg("1000").run().expect_success();
    }
}

/// The runtime may come with a plugin, loaded locally, long after the allocator bound its symbols.
#[test]
fn new_throws_when_the_runtime_comes_late() {
    let Some(plugin) = compiler::cxx("cxx/plugin.cpp", "plugin.so", &["-shared", "-fPIC"]) else {
        return;
    };
    for linkage in [Linkage::Preloaded, Linkage::Linked] {
        let Some(run) = linkage.c("door/plugin_host.c") else {
            return;
        };
        run.arg(&plugin).run().expect_success();
    }
}

/// A symbol may be that of a function that answers where the operator is.
#[test]
fn operators_that_the_loader_chooses_are_the_programs() {
    for linkage in [Linkage::Preloaded, Linkage::Linked] {
        passes(linkage, "cxx/replaced_chosen.cpp");
    }
}

/// Which operators are the program's is found without the loader's lock: a constructor that `dlopen` runs may wait for the
/// thread that asks first.
#[test]
fn a_constructor_may_wait_for_the_first_sized_delete() {
    let flags = ["-shared", "-fPIC", "-pthread", "-fsized-deallocation"];
    let source = "cxx/late_constructor.cpp";
    let Some(library) = compiler::cxx(source, "late_constructor.so", &flags) else {
        return;
    };
    for linkage in [Linkage::Preloaded, Linkage::Linked] {
        let Some(run) = linkage.c("door/loads_while_locked.c") else {
            return;
        };
        run.arg(&library).run().expect_success();
    }
}
