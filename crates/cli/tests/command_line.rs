//! The command as a person meets it: messages, exit codes, what it leaves behind.
//!
//! Nothing here needs the allocator. Where a library must be preloaded, any does: the tests take a
//! small one that comes with the C library and changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_jemoxide");

fn jemoxide(words: &[&str]) -> Command {
    let mut command = Command::new(COMMAND);
    command.args(words).stdin(Stdio::null());
    // Whoever runs the tests may ignore signals (`nohup`, a shell's background job), and the command rightly
    // goes on doing so: these tests begin as a terminal would.
    // SAFETY: `signal` is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

/// `jemoxide run` with a library that changes nothing, and `words`.
fn run(words: &[&str]) -> Command {
    let mut command = jemoxide(&["run", "--library", &harmless_library()]);
    command.args(words);
    command
}

fn harmless_library() -> String {
    let folder = c_library().parent().expect("a folder").to_owned();
    let names = [
        "libresolv.so.2",
        "libdl.so.2",
        "libanl.so.1",
        "libutil.so.1",
    ];
    let mut files = names.iter().map(|name| folder.join(name));
    files
        .find(|file| file.is_file())
        .expect("a companion of the C library")
        .display()
        .to_string()
}

/// The C library of this very process.
fn c_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("readable");
    let mut files = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    let file = files.find(|file| file.contains("/libc.so") || file.contains("/libc-"));
    PathBuf::from(file.expect("a dynamically linked C library"))
}

/// Runs `command`. A file that was just written is busy while a child that another test forked then has yet to begin
/// its own program.
fn started(command: &mut Command) -> Output {
    loop {
        match command.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            output => return output.expect("starts"),
        }
    }
}

fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = started(&mut command);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

#[test]
fn no_arguments_print_help() {
    let (code, _, stderr) = output(jemoxide(&[]));
    assert_eq!(code, Some(2));
    holds(&stderr, &["Usage: jemoxide", "run", "classes", "Examples:"]);
    let (code, stdout, _) = output(jemoxide(&["run", "--help"]));
    assert_eq!(code, Some(0));
    holds(
        &stdout,
        &[
            "jemoxide run sort big.txt",
            "--no-count",
            "--library <PATH>",
            "Exit status",
        ],
    );
    assert!(!stdout.contains("Workload"));
}

#[test]
fn slips_get_suggestions() {
    let (code, _, stderr) = output(jemoxide(&["clases"]));
    assert_eq!(code, Some(2));
    holds(&stderr, &["'classes'"]);
    let (code, _, stderr) = output(jemoxide(&["run", "--librari", "x", "true"]));
    assert_eq!(code, Some(2));
    holds(&stderr, &["--library"]);
}

#[test]
fn a_missing_library_is_told_with_its_cure() {
    let folder = tempfile::tempdir().expect("a directory");
    let alone = folder.path().join("bin").join("jemoxide");
    fs::create_dir(folder.path().join("bin")).expect("writable");
    fs::copy(COMMAND, &alone).expect("copied");
    for words in [&["run", "true"][..], &["run"]] {
        let mut command = Command::new(&alone);
        command.args(words);
        let (code, stdout, stderr) = output(command);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let place = |place: &str| folder.path().join(place).display().to_string();
        holds(
            &stderr,
            &[
                &place("bin/libjemoxide.so"),
                &place("lib/libjemoxide.so"),
                "cargo build --release",
                "--library",
            ],
        );
    }
    // Through a link the places are still those beside the real file.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&alone, &link).expect("linked");
    fs::create_dir(folder.path().join("lib")).expect("writable");
    fs::copy(
        harmless_library(),
        folder.path().join("lib").join("libjemoxide.so"),
    )
    .expect("copied");
    let mut command = Command::new(&link);
    command.args(["run", "true"]);
    assert_eq!(output(command).0, Some(0));
}

#[test]
fn a_missing_program_is_127_and_an_unfit_one_126() {
    let (code, _, stderr) = output(run(&["no-such-program-here"]));
    assert_eq!(code, Some(127));
    holds(&stderr, &["no-such-program-here", "PATH"]);
    let (code, _, stderr) = output(run(&["/no/such/program"]));
    assert_eq!(code, Some(127));
    holds(&stderr, &["/no/such/program"]);

    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("text");
    fs::write(&file, "no program").expect("writable");
    let (code, _, stderr) = output(run(&[&file.display().to_string()]));
    assert_eq!(code, Some(126));
    holds(&stderr, &["may not be executed"]);

    let lost = script(folder.path(), "lost", "#!/no/such/interpreter\n");
    let (code, _, stderr) = output(run(&[&lost.display().to_string()]));
    assert_eq!(code, Some(127));
    holds(&stderr, &["interpreter /no/such/interpreter"]);
}

#[test]
fn exit_status_and_output_are_the_programs() {
    let (code, stdout, stderr) = output(run(&["sh", "-c", "echo out; echo err >&2; exit 7"]));
    assert_eq!((code, stdout.as_str()), (Some(7), "out\n"));
    holds(
        &stderr,
        &["err\n", "jemoxide: sh -c", "exit status 7", "peak RSS"],
    );
    assert!(!stderr.contains('\x1b'), "no colour in a pipe");

    let (code, _, stderr) = output(run(&["--", "sh", "-c", "kill -9 $$"]));
    assert_eq!(code, Some(137));
    holds(&stderr, &["killed by signal 9 (SIGKILL)"]);
}

#[test]
fn a_script_runs_through_its_first_line() {
    let folder = tempfile::tempdir().expect("a directory");
    let script = script(folder.path(), "script", "#!/bin/sh\necho \"$0 $1\"\n");
    let (code, stdout, _) = output(run(&[&script.display().to_string(), "--flag"]));
    assert_eq!(code, Some(0));
    holds(&stdout, &["script --flag"]);
}

#[test]
fn variables_are_added_to_not_replaced() {
    let mut command = run(&[
        "sh",
        "-c",
        "echo $LD_PRELOAD; echo $JEMOXIDE_CONF; ls -ld ${JEMOXIDE_CONF#*_dir:}",
    ]);
    let library = harmless_library();
    let mine = script(Path::new(env!("CARGO_TARGET_TMPDIR")), "mine.so", "");
    fs::copy(&library, &mine).expect("copied");
    let mine = mine.display().to_string();
    command
        .env("LD_PRELOAD", &mine)
        .env("JEMOXIDE_CONF", "narenas:2");
    let (_, stdout, _) = output(command);
    holds(
        &stdout,
        &[
            &format!("{library}:{mine}\n"),
            "narenas:2,report_dir:/",
            ",count:true\n",
        ],
    );

    let mut command = run(&["--no-count", "sh", "-c", "echo $JEMOXIDE_CONF"]);
    command.env_remove("JEMOXIDE_CONF");
    let (_, stdout, _) = output(command);
    assert!(
        stdout.starts_with("report_dir:/") && !stdout.contains("count"),
        "{stdout}"
    );
}

#[test]
fn the_report_directory_is_private_and_does_not_stay() {
    let folder = tempfile::tempdir().expect("a directory");
    let list = "d=${JEMOXIDE_CONF#report_dir:}; echo $d; ls -ld $d";
    let mut command = run(&["--no-count", "sh", "-c", list]);
    command
        .env("TMPDIR", folder.path())
        .env_remove("JEMOXIDE_CONF");
    let (_, stdout, _) = output(command);
    holds(
        &stdout,
        &[&folder.path().display().to_string(), "drwx------"],
    );
    assert_eq!(
        fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "something was left"
    );

    let mut failing = run(&["/etc/passwd"]);
    failing.env("TMPDIR", folder.path());
    assert_eq!(output(failing).0, Some(126));
    assert_eq!(
        fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "something was left"
    );
}

#[test]
fn a_temporary_directory_with_a_comma_is_not_used() {
    let folder = tempfile::Builder::new()
        .prefix("with,comma")
        .tempdir()
        .expect("a directory");
    let mut command = run(&["--no-count", "sh", "-c", "echo $JEMOXIDE_CONF"]);
    command
        .env("TMPDIR", folder.path())
        .env_remove("JEMOXIDE_CONF");
    let (code, stdout, _) = output(command);
    assert_eq!(code, Some(0));
    assert!(!stdout.contains(','), "{stdout}");
}

#[test]
fn missing_figures_are_explained() {
    let (_, _, stderr) = output(run(&["true"]));
    holds(&stderr, &["No allocator figures.", "does not write"]);
}

#[test]
fn a_static_program_runs_and_the_screen_says_so() {
    let folder = tempfile::tempdir().expect("a directory");
    let source = folder.path().join("p.rs");
    let program = folder.path().join("static");
    fs::write(&source, "fn main() { std::process::exit(5) }").expect("writable");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["-C", "target-feature=+crt-static", "-o"])
        .args([&program, &source])
        .output()
        .is_ok_and(|output| output.status.success());
    if !built {
        println!("NOT TESTED: no static program can be built here (rustc with crt-static failed)");
        return;
    }
    let (code, _, stderr) = output(run(&[&program.display().to_string()]));
    assert_eq!(code, Some(5));
    // Lines are broken at blanks: look at words.
    let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    holds(
        &words,
        &["is statically linked", "ran on its own allocator"],
    );
}

/// Starts `sh -c script` under the command, waits for its first line, then sends `signal` to the command.
fn signalled(script: &str, signal: i32) -> (Option<i32>, String) {
    use std::io::{BufRead, BufReader};
    let mut child = run(&["sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    // SAFETY: `kill` takes numbers only; the child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    let rest = lines.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    let status = child.wait().expect("waits");
    assert_eq!(status.signal(), None, "the command itself was killed");
    (status.code(), rest)
}

#[test]
fn a_request_to_terminate_goes_to_the_program() {
    let trap = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    assert_eq!(
        signalled(trap, libc::SIGTERM),
        (Some(9), "got it".to_owned())
    );
    let plain = "echo ready; exec sleep 60";
    assert_eq!(signalled(plain, libc::SIGHUP).0, Some(128 + libc::SIGHUP));
}

#[test]
fn an_interrupt_is_left_to_the_program() {
    // The terminal would send it to both; here the program does not get it, and goes on.
    let script = "echo ready; sleep 0.3; echo done; exit 4";
    assert_eq!(
        signalled(script, libc::SIGINT),
        (Some(4), "done".to_owned())
    );
}

#[test]
fn classes_are_a_table_and_json() {
    let (code, stdout, _) = output(jemoxide(&["classes"]));
    assert_eq!(code, Some(0));
    holds(&stdout, &["14 KiB", "slab pages", "--all"]);
    let (code, stdout, _) = output(jemoxide(&["classes", "--json"]));
    assert_eq!(code, Some(0));
    let classes: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let classes = classes.as_array().expect("a list");
    assert_eq!(classes.len(), 232);
    assert_eq!(classes[0]["size"], 8);
    assert_eq!(classes[231]["size"], 7u64 << 60);
    assert_eq!(classes[36]["kind"], "large");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = jemoxide(&["classes", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("waits").code(), Some(0));
}

const SHORT: [&str; 8] = [
    "--rounds",
    "1",
    "--keys",
    "500",
    "--requests",
    "1000",
    "--threads",
    "2",
];

#[test]
fn a_comparison_shows_both_sides() {
    let (code, stdout, stderr) = output(run(&SHORT));
    assert_eq!(code, Some(0), "{stderr}");
    holds(
        &stdout,
        &[
            "requests/s",
            "glibc",
            "jemoxide",
            "RSS, shrunk",
            "content.",
            "no report",
        ],
    );
}

#[test]
fn a_comparison_on_the_wrong_library_is_an_error() {
    // The C library is in every process: it cannot be what makes the difference.
    let mut command = jemoxide(&["run", "--library", &c_library().display().to_string()]);
    command.args(SHORT);
    let (code, stdout, stderr) = output(command);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    holds(&stderr, &["was loaded", "nothing can be compared"]);
}

#[test]
fn a_small_programs_peak_is_its_own() {
    // Started the quick way it would show the command's own peak, several MiB.
    let (_, _, stderr) = output(run(&["true"]));
    let line = stderr
        .lines()
        .find(|line| line.contains("peak RSS"))
        .expect("shown");
    let mut words = line.split_whitespace().skip(2);
    let number: f64 = words
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    match words.next() {
        Some("KiB") => {}
        Some("MiB") => assert!(number < 3.0, "{line}"),
        other => panic!("{other:?} in {line}"),
    }
}

#[test]
fn an_interrupted_comparison_stops() {
    let mut child = jemoxide(&[
        "run",
        "--library",
        &harmless_library(),
        "--rounds",
        "50",
        "--keys",
        "500",
    ])
    .args(["--requests", "1000"])
    .stderr(Stdio::piped())
    .spawn()
    .expect("starts");
    // It watches signals from before its first words on.
    let mut told = child.stderr.take().expect("piped");
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut told, &mut first).expect("a word");
    // SAFETY: `kill` takes numbers only; the child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let rest = std::io::read_to_string(told).expect("text");
    assert_eq!(
        child.wait().expect("waits").code(),
        Some(128 + libc::SIGINT),
        "{rest}"
    );
    holds(&rest, &["stopped by signal 2"]);
}

/// `jemoxide conf` without options of the surroundings.
fn conf(words: &[&str]) -> Command {
    let mut command = jemoxide(words);
    command
        .env_remove("MALLOC_CONF")
        .env_remove("_RJEM_MALLOC_CONF")
        .env_remove("JEMOXIDE_CONF");
    command
}

/// The option `name` in what `--json` printed.
fn option(json: &str, name: &str) -> serde_json::Value {
    let conf: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
    let options = conf["options"].as_array().expect("a list");
    let found = options.iter().find(|option| option["name"] == name);
    found.expect("each key is there").clone()
}

#[test]
fn conf_tells_values_and_where_they_come_from() {
    let mut command = conf(&["conf", "--json"]);
    command
        .env("MALLOC_CONF", "preset:low_memory,narenas:3,narena:1")
        .env("JEMOXIDE_CONF", "dirty_max:2M");
    let (code, out, _) = output(command);
    assert_eq!(code, Some(0));
    for (name, value, origin) in [
        ("preset", "low_memory", "MALLOC_CONF"),
        ("narenas", "3", "MALLOC_CONF"),
        ("dirty_share", "5", "preset low_memory"),
        ("dirty_max", "2M", "JEMOXIDE_CONF"),
        ("muzzy_decay_ms", "0", "default"),
    ] {
        let option = option(&out, name);
        assert_eq!(
            (&option["value"], &option["origin"]),
            (&value.into(), &origin.into()),
            "{name}"
        );
    }
    holds(&out, &["narena:1", "did you mean narenas?"]);
}

#[test]
fn conf_explains_presets_and_refuses_others() {
    let mut command = conf(&["conf", "--preset", "container"]);
    command.env("MALLOC_CONF", "narenas:7");
    let (code, out, _) = output(command);
    assert_eq!(code, Some(0));
    holds(
        &out,
        &["dirty_decay_ms:3000", "preset container; default 10000"],
    );
    assert!(!out.contains("narenas:7"), "{out}");
    let (code, _, error) = output(conf(&["conf", "--preset", "small"]));
    assert_eq!(code, Some(2));
    holds(&error, &["small", "low_memory"]);
}

#[test]
fn conf_reads_the_environment_of_a_process() {
    let mut sleeper = Command::new("sleep")
        .arg("100")
        .env("MALLOC_CONF", "dirty_max:3M")
        .spawn()
        .expect("sleep is there");
    // Until the child has become `sleep` it is this test.
    let pid = sleeper.id().to_string();
    let mut found = String::new();
    for _ in 0..3000 {
        let (code, out, _) = output(conf(&["conf", "--json", "--pid", &pid]));
        assert_eq!(code, Some(0));
        found = option(&out, "dirty_max")["value"].to_string();
        if found == "\"3M\"" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    sleeper.kill().expect("it is ours");
    sleeper.wait().expect("it is ours");
    assert_eq!(found, "\"3M\"");
    let (code, _, error) = output(conf(&["conf", "--pid", "4194305"]));
    assert_eq!(code, Some(2));
    holds(&error, &["no process 4194305"]);
}
