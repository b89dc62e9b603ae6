//! The library arrives by dlopen, late, where hardly any static thread storage is left.

use std::fs;

use jemoxide_testkit::{artifacts, child, compiler};

/// Copies of each tenant: more than glibc's reserve holds. The loader tells libraries apart by
/// file, so they are copies, not links.
const COPIES: usize = 64;

#[test]
fn loads_late_into_a_full_static_tls_block_and_stays() {
    let Some(program) = compiler::c("process/late_dlopen.c", "late_dlopen", &["-ldl"]) else {
        return;
    };
    let folder = artifacts::target().join("programs/tenants");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    for bytes in [64, 16] {
        let size = format!("-DTENANT_BYTES={bytes}");
        let flags = ["-shared", "-fPIC", &size];
        let name = format!("tenant{bytes}.so");
        let Some(tenant) = compiler::c("process/static_tls_tenant.c", &name, &flags) else {
            return;
        };
        for copy in 0..COPIES {
            fs::copy(&tenant, folder.join(format!("tenant{bytes}.{copy}.so")))
                .expect("the target folder is writable");
        }
    }
    let outcome = child::Run::new(program)
        .arg(artifacts::library())
        .arg(&folder)
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "late library used\n", "{outcome}");
}
