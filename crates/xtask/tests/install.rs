//! An installed layout, used as a program's author, a build system and a program linked with jemalloc use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use jemoxide_testkit::child::Run;
use jemoxide_testkit::{artifacts, compiler};
use jemoxide_xtask::install::{self, DROP_IN, SONAME};

/// A layout that goes away with its test. `None`: a stand-in is tested, which is not ours to install.
fn installed() -> Option<tempfile::TempDir> {
    if artifacts::is_stand_in() {
        compiler::announce_untested("a stand-in is not ours to install");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let from = artifacts::library().parent().expect("a folder").to_owned();
    install::run(folder.path(), None, Some(from)).expect("it installs");
    Some(folder)
}

fn says(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The name that a library gives itself.
fn soname(path: &Path) -> String {
    let text = says(Command::new("readelf").arg("-dW").arg(path));
    let line = text.lines().find(|line| line.contains("(SONAME)"));
    line.and_then(|line| line.split(['[', ']']).nth(1))
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_layout_is_whole() {
    let Some(folder) = installed() else { return };
    let at = |path: &str| folder.path().join(path);
    for path in [
        "lib/libjemoxide.so",
        "lib/libjemoxide.so.0",
        "lib/libjemoxide.a",
        "lib/libjemalloc.so",
        "lib/libjemalloc.so.2",
        "lib/libjemalloc.a",
        "lib/pkgconfig/jemoxide.pc",
        "lib/pkgconfig/jemalloc.pc",
        "include/jemalloc/jemalloc.h",
        "include/jemoxide.h",
        "bin/jemalloc-config",
        "bin/jemalloc.sh",
    ] {
        assert!(at(path).is_file(), "{path}");
    }
    let mode = |path: &str| fs::metadata(at(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("bin/jemalloc.sh"), mode("lib/libjemoxide.a")),
        (0o755, 0o644)
    );
    let same = |path: &str, other: &str| {
        at(path).canonicalize().unwrap() == at(other).canonicalize().unwrap()
    };
    assert!(same("lib/libjemoxide.so", "lib/libjemoxide.so.0"));
    assert!(same("lib/libjemalloc.so", "lib/libjemalloc.so.2"));
    // The two differ in 16 bytes at most: the name.
    let [own, drop_in] =
        ["lib/libjemoxide.so", "lib/libjemalloc.so.2"].map(|path| fs::read(at(path)).unwrap());
    assert_eq!(own.len(), drop_in.len());
    let differing = own
        .iter()
        .zip(&drop_in)
        .filter(|(own, drop_in)| own != drop_in)
        .count();
    assert!((1..=SONAME.len()).contains(&differing), "{differing} bytes");
    if Command::new("readelf").arg("--version").output().is_err() {
        compiler::announce_untested("no readelf (install binutils)");
        return;
    }
    assert_eq!(soname(&at("lib/libjemoxide.so")), SONAME);
    assert_eq!(soname(&at("lib/libjemalloc.so.2")), DROP_IN);
}

#[test]
fn a_second_installation_replaces_the_first() {
    let Some(folder) = installed() else { return };
    let from = artifacts::library().parent().expect("a folder").to_owned();
    install::run(folder.path(), None, Some(from)).expect("it installs again");
    let names = fs::read_dir(folder.path().join("lib")).unwrap();
    let left: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("fresh"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        install::run(Path::new("relative"), None, None)
            .unwrap_err()
            .contains("absolute")
    );
}

#[test]
fn what_is_packaged_names_its_prefix_and_not_the_folder_it_was_made_in() {
    let Some(_) = installed() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let from = artifacts::library().parent().expect("a folder").to_owned();
    install::run(Path::new("/usr"), Some(folder.path()), Some(from)).expect("it installs");
    let text = fs::read_to_string(folder.path().join("usr/lib/pkgconfig/jemalloc.pc")).unwrap();
    assert!(text.starts_with("prefix=/usr\n"), "{text}");
}

#[test]
fn programs_compile_and_run_by_what_pkg_config_says() {
    let Some(folder) = installed() else { return };
    if Command::new("pkg-config")
        .arg("--version")
        .output()
        .is_err()
    {
        compiler::announce_untested("no pkg-config");
        return;
    }
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", folder.path().join("lib/pkgconfig"));
        says(command.args(arguments))
    };
    assert_eq!(ask(&["--modversion", "jemalloc"]), "5.3.1");
    let library = folder.path().join("lib");
    for module in ["jemalloc", "jemoxide"] {
        let flags = ask(&["--cflags", "--libs", module]);
        let search = format!("-Wl,-rpath,{}", library.display());
        for (variant, defines) in [
            ("jemalloc", &[][..]),
            ("kept", &["-DJEMALLOC_NO_DEMANGLE"]),
            ("own", &["-DOWN_ONLY"]),
            ("first", &["-DOWN_FIRST"]),
            ("last", &["-DOWN_LAST"]),
        ] {
            let all: Vec<&str> = flags
                .split(' ')
                .chain([search.as_str(), "-Wall", "-Wextra", "-Werror"])
                .chain(defines.iter().copied())
                .collect();
            // Each test has a folder of its own, and so a program.
            let name = format!("header-{module}-{variant}");
            if let Some(program) = compiler::c("door/header.c", &name, &all) {
                Run::new(program).run().expect_success();
            }
            let name = format!("{name}-cxx");
            if let Some(program) = compiler::cxx("door/header.c", &name, &all) {
                Run::new(program).run().expect_success();
            }
        }
    }
}

#[test]
fn the_script_answers_build_systems() {
    let Some(folder) = installed() else { return };
    let ask = |question: &str| {
        says(Command::new(folder.path().join("bin/jemalloc-config")).arg(question))
    };
    let of = |path: &str| folder.path().join(path).display().to_string();
    assert_eq!(ask("--libdir"), of("lib"));
    assert_eq!(ask("--includedir"), of("include"));
    assert_eq!(ask("--prefix"), folder.path().display().to_string());
    assert!(ask("--version").starts_with("5.3.1-0-g"));
    let wrong = Command::new(folder.path().join("bin/jemalloc-config"))
        .arg("--what")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    let run =
        says(Command::new(folder.path().join("bin/jemalloc.sh")).args(["cat", "/proc/self/maps"]));
    assert!(run.contains("libjemalloc.so.2"), "{run}");
}

/// Programs of Debian's that are linked with libjemalloc.so.2, with what makes them work a little.
const LINKED: [(&str, &[&str]); 6] = [
    ("/usr/bin/redis-cli", &["--version"]),
    ("/usr/bin/dig", &["-v"]),
    ("/usr/bin/host", &["-V"]),
    ("/usr/sbin/named", &["-V"]),
    ("/usr/sbin/varnishd", &["-V"]),
    ("/usr/bin/h2load", &["--version"]),
];

#[test]
fn programs_linked_with_jemalloc_take_the_drop_in() {
    let Some(folder) = installed() else { return };
    let library = folder.path().join("lib");
    let mut tried = 0;
    for (program, arguments) in LINKED {
        if !Path::new(program).is_file() {
            continue;
        }
        tried += 1;
        let outcome = Run::new(program)
            .args(arguments)
            .env("LD_LIBRARY_PATH", &library)
            .env("MALLOC_CONF", "confirm_conf:true")
            .run()
            .expect_success();
        // The name of the library's messages: it is this one that serves.
        assert!(
            outcome.stderr.contains("<jemoxide>: MALLOC_CONF"),
            "{outcome}"
        );
    }
    if tried == 0 {
        compiler::announce_untested(
            "no program linked with libjemalloc.so.2 (install redis-server)",
        );
    }
    redis(&library);
}

/// A Redis server at work: keys, a snapshot by a forked child, its own questions to the allocator.
fn redis(library: &Path) {
    if !Path::new("/usr/bin/redis-server").is_file() {
        compiler::announce_untested("no redis-server");
        return;
    }
    let script = r#"
        set -e
        redis-server --port 0 --unixsocket "$1/redis" --dir "$1" --save "" --enable-debug-command yes --daemonize no >"$1/log" 2>&1 &
        server=$!
        ask() { redis-cli -s "$1" "${@:2}"; }
        for _ in $(seq 200); do
            ask "$1/redis" ping >/dev/null 2>&1 && break
            sleep 0.05
        done
        grep -q libjemalloc.so.2 /proc/$server/maps
        ask "$1/redis" debug populate 20000 key 100 >/dev/null
        test "$(ask "$1/redis" dbsize)" = 20000
        ask "$1/redis" save
        ask "$1/redis" bgsave
        ask "$1/redis" info memory
        ask "$1/redis" memory purge
        ask "$1/redis" memory malloc-stats | head -n 40
        ask "$1/redis" config set activedefrag yes || true
        ask "$1/redis" flushall
        ask "$1/redis" shutdown nosave || true
        wait $server
    "#;
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = Run::new("/bin/bash")
        .args(["-c", script, "bash"])
        .arg(folder.path())
        .env("LD_LIBRARY_PATH", library)
        .run();
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    assert_eq!(outcome.status, Some(0), "{outcome}\n{log}");
    assert!(
        outcome.stdout.contains("mem_allocator:jemalloc-5.3"),
        "{outcome}"
    );
}
