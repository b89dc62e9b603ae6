//! The C door as C programs see it: every edge of the malloc family and the extended calls, in every
//! way a program can be linked. The programs hold the checks; see `programs/door/check.h`.

use jemoxide_testkit::linkage::Linkage;

fn passes(linkage: Linkage, source: &str) {
    if let Some(run) = linkage.c(source) {
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
                    super::passes(super::Linkage::$linkage, concat!("door/", stringify!($name), ".c"));
                }
            )*
        }
    };
}

in_every_linkage! { malloc realloc aligned sized extended glibc_names }
