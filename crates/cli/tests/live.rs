//! `jemoxide top` and `jemoxide stats` on living processes, the former through a pseudo-terminal whose screen is read.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jemoxide_testkit::{artifacts, compiler};
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

const COMMAND: &str = env!("CARGO_BIN_EXE_jemoxide");
/// Far above what anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program that is watched; `None` without a compiler, which the kit says.
fn watched() -> Option<PathBuf> {
    compiler::c("process/live_service.c", "live_service", &[])
}

/// A watched process with its channel open, in a folder of its own.
struct Service {
    child: Child,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let live = format!("control:{}/live", folder.path().display());
        let child = Command::new(watched()?)
            .env("LD_PRELOAD", artifacts::library())
            .env("JEMOXIDE_CONF", options.replace("LIVE", &live))
            .env_remove("MALLOC_CONF")
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut service = Self { child, folder };
        let mut ready = [0; 6];
        let output = service.child.stdout.as_mut().expect("piped");
        output.read_exact(&mut ready).expect("it says so");
        assert_eq!(&ready, b"ready\n");
        Some(service)
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The file of its channel, the only one in its folder.
    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.folder.path()).expect("ours").flatten();
        let file = files.next().expect("it is open").path();
        assert!(files.next().is_none(), "one process, one file");
        file
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command on a pseudo-terminal.
struct Screen {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    seen: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    fn start(words: &[&str], rows: u16, columns: u16) -> Self {
        let pair = native_pty_system()
            .openpty(size(rows, columns))
            .expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(COMMAND);
        command.args(words);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).expect("starts");
        drop(pair.slave);
        let seen = Arc::new(Mutex::new(vt100::Parser::new(
            rows.max(1),
            columns.max(1),
            0,
        )));
        let mut output = pair.master.try_clone_reader().expect("readable");
        let screen = seen.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                screen.lock().expect("whole").process(&piece[..count]);
            }
        });
        let keys = pair.master.take_writer().expect("writable");
        Self {
            child,
            master: pair.master,
            keys,
            seen,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("writable");
        self.keys.flush().expect("writable");
    }

    fn text(&self) -> String {
        self.seen.lock().expect("whole").screen().contents()
    }

    /// Waits until the screen fits; what it shows then.
    fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if fits(&text) {
                return text;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} is not on the screen:\n{text}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn shows(&self, parts: &[&str]) -> String {
        self.until(&format!("{parts:?}"), |text| {
            parts.iter().all(|part| text.contains(part))
        })
    }

    fn resize(&self, rows: u16, columns: u16) {
        let mut seen = self.seen.lock().expect("whole");
        seen.set_size(rows, columns);
        self.master.resize(size(rows, columns)).expect("resized");
    }

    /// Presses the key that leaves; the exit status.
    fn leave(mut self, key: &str) -> u32 {
        self.press(key);
        let status = self.child.wait().expect("ends");
        // What it wrote last may still be under way.
        let is_back = || {
            let seen = self.seen.lock().expect("whole");
            !seen.screen().alternate_screen() && !seen.screen().hide_cursor()
        };
        self.until("the screen and cursor of before", |_| is_back());
        status.exit_code()
    }
}

/// Waits for what is on the screen when the command has left.
fn shows_at_last(seen: &Mutex<vt100::Parser>, part: &str) {
    let begun = Instant::now();
    loop {
        let text = seen.lock().expect("whole").screen().contents();
        if text.contains(part) {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{part:?} does not come:\n{text}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn output(words: &[&str]) -> Output {
    Command::new(COMMAND)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

fn said(words: &[&str]) -> String {
    let output = output(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn complaint(words: &[&str]) -> String {
    let output = output(words);
    assert!(!output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn top_shows_parts_history_and_tables_in_80_by_24_and_at_any_size() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let mut screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    let first = screen.shows(&[
        "live_service",
        "live objects",
        "1 arenas",
        "threads",
        "q quit",
    ]);
    for part in [
        "resident",
        "allocated",
        "not profiling",
        "program, libraries, files",
        "now",
    ] {
        assert!(first.contains(part), "{part:?} in\n{first}");
    }
    assert_eq!(first.lines().count(), 24, "the whole screen:\n{first}");
    // 10 000 objects of 4 KiB.
    screen.press("2");
    let classes = screen.shows(&["free in slabs", "4096 B"]);
    let row = classes
        .lines()
        .find(|line| line.contains("4096 B"))
        .expect("there");
    assert!(
        ["9,999", "10,00"].iter().any(|count| row.contains(count)),
        "{row}"
    );
    // Lines of history: braille dots.
    screen.until("history", |text| {
        text.chars()
            .filter(|each| ('\u{2801}'..='\u{28ff}').contains(each))
            .count()
            > 8
    });
    screen.press("?");
    screen.shows(&["what the words mean", "by the system"]);
    screen.press("?");
    screen.until("the table again", |text| {
        !text.contains("what the words mean")
    });
    // Held still, nothing changes; on again, time goes on.
    for (rows, columns) in [(50, 160), (12, 40), (24, 60), (3, 10), (24, 80)] {
        screen.resize(rows, columns);
        let part = if rows == 3 { "too small" } else { "4096 B" };
        screen.shows(&[part]);
        if columns == 60 {
            // What does not fit is left out as a whole.
            screen.until("the narrow one", |text| {
                let header = text.lines().nth(1).unwrap_or_default().trim_end();
                ["iB", " B", "/s", "back"]
                    .iter()
                    .any(|end| header.ends_with(end))
                    && ["space hold", " free in slabs"]
                        .iter()
                        .all(|part| text.contains(part))
                    && !text.contains("...")
            });
        }
    }
    assert_eq!(screen.leave("q"), 0);
}

#[test]
fn top_switches_profiling_on_and_shows_the_hottest_stacks() {
    let Some(service) = Service::start("LIVE,lg_prof_sample:14") else {
        return;
    };
    let mut screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    screen.shows(&["not profiling"]);
    screen.press("3");
    screen.shows(&["press p to switch profiling on"]);
    // It is asked first, and told what it costs; any key but y is a no.
    screen.press("p");
    screen.shows(&[
        "switch profiling on?",
        "16 KiB on average",
        "usual one each 512 KiB",
    ]);
    screen.press("p");
    screen.until("no question", |text| !text.contains("switch profiling on?"));
    screen.shows(&["not profiling"]);
    screen.press("py");
    screen.shows(&["profiling, a sample each 16 KiB"]);
    let stacks = screen.shows(&["load_table < main"]);
    let row = stacks
        .lines()
        .find(|line| line.contains("load_table"))
        .expect("there");
    assert!(row.contains('%') && row.contains("iB"), "{row}");
    let age = |text: &str| {
        let age = text.split(" as of ").nth(1)?.split(" s ago").next()?;
        age.parse::<u64>().ok()
    };
    assert!(age(&stacks).is_some(), "{stacks}");
    screen.press("p");
    screen.shows(&["switch profiling off?"]);
    screen.press("y");
    // No more dumps: what is shown grows old, and says so.
    screen.shows(&["profiling stopped", "load_table < main"]);
    screen.until("an age that grows", |text| {
        age(text).is_some_and(|age| age > 10)
    });
    let dump = PathBuf::from(format!("{}.heap", service.file().display()));
    assert_eq!(screen.leave("q"), 0);
    assert!(!dump.exists(), "what was read is gone");
}

#[test]
fn who_leaves_profiling_on_is_told() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let mut screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 60);
    screen.shows(&["not profiling"]);
    screen.press("3p");
    // The rate is the process's own, whatever it is.
    screen.shows(&["512 KiB on average", "about a percent"]);
    screen.press("y");
    screen.shows(&["profiling, a sample each 512 KiB"]);
    let seen = screen.seen.clone();
    assert_eq!(screen.leave("q"), 0);
    shows_at_last(&seen, "goes on profiling");
}

#[test]
fn a_terminal_without_a_size_is_no_reason_to_fail() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    for (rows, columns) in [(0, 0), (24, 0), (0, 80), (1, 1)] {
        let screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], rows, columns);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(screen.leave("q"), 0, "{rows} rows, {columns} columns");
    }
}

#[test]
fn a_program_that_ends_at_once_is_told_with_its_output_and_status() {
    let library = artifacts::library();
    let words = ["top", "--library", path(&library), "--run"];
    let script = ["sh", "-c", "echo its own words; exit 3"];
    let screen = Screen::start(&[&words[..], &script].concat(), 24, 80);
    let seen = screen.seen.clone();
    // Where it is quicker than the first look there is nothing to leave; else its last figures are there.
    assert_eq!(screen.leave("q"), 3);
    shows_at_last(&seen, "its own words");
    let output = output(&[&words[..], &["/bin/true"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    let lines = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.contains("ended (exit status: 0) before there was anything to watch")
            && text.contains("jemoxide run")
            || lines.contains("the process has ended"),
        "{text}{lines}"
    );
}

#[test]
fn top_tells_when_the_process_ends_and_leaves_by_control_c() {
    let Some(mut service) = Service::start("LIVE") else {
        return;
    };
    let screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    screen.shows(&["live objects"]);
    service.child.kill().expect("ours");
    service.child.wait().expect("ours");
    screen.shows(&["The process has ended", "live objects"]);
    assert_eq!(screen.leave("\u{3}"), 0);
}

#[test]
fn a_stopped_process_is_told_and_does_not_stop_the_command() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &service.pid()]).status();
        assert!(status.expect("kill").success());
    };
    let screen = Screen::start(&["top", &service.pid(), "--every", "0.2"], 24, 80);
    screen.shows(&["live objects"]);
    signal("-STOP");
    screen.shows(&["No news"]);
    signal("-CONT");
    screen.until("news", |text| !text.contains("No news"));
    assert_eq!(screen.leave("q"), 0);
}

#[test]
fn top_starts_a_program_and_ends_it() {
    let Some(program) = watched() else {
        return;
    };
    let library = artifacts::library();
    let words = ["top", "--library", library.to_str().expect("text"), "--run"];
    let words = [&words[..], &[program.to_str().expect("text")]].concat();
    let screen = Screen::start(&words, 24, 80);
    screen.shows(&["live objects", "live_service"]);
    let seen = screen.seen.clone();
    assert_eq!(screen.leave("q"), 7, "the program's own status");
    // The program's output is shown at the end.
    shows_at_last(&seen, "stopped");
}

#[test]
fn without_a_terminal_top_prints_lines() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let text = said(&["top", &service.pid(), "--every", "0.1", "--count", "3"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[0].contains("live_service") && lines[1].contains("resident"),
        "{text}"
    );
    assert!(lines[2..].iter().all(|line| line.contains("MiB")), "{text}");
}

#[test]
fn stats_prints_figures_of_a_process_and_of_its_file() {
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    let text = said(&["stats", &service.pid()]);
    for part in [
        "live_service",
        "allocated",
        "live objects",
        "4096 B",
        "Purging",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&said(&["stats", "--json", &service.pid()])).expect("JSON");
    assert_eq!(json["answered"], true);
    assert_eq!(json["pid"], service.child.id());
    let allocated = json["now"]["allocated"].as_u64().expect("a number");
    assert!((40_000_000..60_000_000).contains(&allocated), "{allocated}");
    let resident = json["rss"]["rss"].as_u64().expect("asked for");
    assert!(resident >= allocated, "{resident} {allocated}");
    // By the file, as from another container; and after the process was killed.
    let file = service.file();
    let copy = service.folder.path().join("copy");
    assert!(said(&["stats", file.to_str().expect("text")]).contains("live objects"));
    fs::copy(&file, &copy).expect("readable");
    let text = said(&["stats", copy.to_str().expect("text")]);
    assert!(
        text.contains("did not answer") && text.contains("4096 B"),
        "{text}"
    );
}

#[test]
fn stats_reads_a_report_and_printed_statistics() {
    let Some(program) = compiler::c("process/live_service.c", "live_service", &[]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let options = format!(
        "report_dir:{},stats_print:true,stats_print_opts:J",
        folder.path().display()
    );
    let mut child = Command::new(program)
        .env("LD_PRELOAD", artifacts::library())
        .env("JEMOXIDE_CONF", options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut ready = [0; 6];
    let out = child.stdout.as_mut().expect("piped");
    out.read_exact(&mut ready).expect("it says so");
    // SAFETY: a plain call; the child is ours and not reaped.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let pid = child.id();
    let output = child.wait_with_output().expect("ends");
    let report = folder.path().join(pid.to_string());
    let text = said(&["stats", path(&report)]);
    assert!(
        text.contains("allocated") && text.contains("live objects"),
        "{text}"
    );
    let saved = folder.path().join("saved.json");
    fs::write(&saved, output.stderr).expect("writable");
    let text = said(&["stats", path(&saved)]);
    assert!(
        text.contains("4096 B") && text.contains("free in slabs"),
        "{text}"
    );
}

#[test]
fn a_process_without_a_channel_is_told_with_the_cure() {
    let Some(service) = Service::start("narenas:1") else {
        return;
    };
    for command in ["stats", "top"] {
        let text = complaint(&[command, &service.pid()]);
        for part in [
            "no live channel",
            "JEMOXIDE_CONF=control:/tmp/jemoxide",
            "kill -12",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(complaint(&[command, "4000000000"]).contains("no process 4000000000"));
        assert!(complaint(&[command, "/no/such"]).contains("there is no file"));
    }
    let Some(service) = Service::start("LIVE,control_signal:12") else {
        return;
    };
    let text = complaint(&["stats", &service.pid()]);
    assert!(
        text.contains(&format!("kill -12 {}", service.pid())),
        "{text}"
    );
    // SAFETY: a plain call; the child is ours and not reaped.
    unsafe { libc::kill(service.child.id() as i32, libc::SIGUSR2) };
    assert!(said(&["stats", &service.pid()]).contains("live objects"));
}

#[test]
fn another_users_process_is_refused_with_the_cure() {
    // SAFETY: a plain call.
    if unsafe { libc::geteuid() } != 0 {
        println!("NOT TESTED: only root can become another user");
        return;
    }
    let Some(service) = Service::start("LIVE") else {
        return;
    };
    // The command stands in a folder that others may not enter: handed over as the open file that runs.
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "65534", "--clear-groups"]);
    let place = tempfile::tempdir_in("/tmp").expect("a folder");
    let copy = place.path().join("jemoxide");
    fs::copy(COMMAND, &copy).expect("copied");
    let status = Command::new("chmod")
        .args(["-R", "a+rx", path(place.path())])
        .status();
    assert!(status.expect("chmod").success());
    let output = other.arg(&copy).args(["stats", &service.pid()]).output();
    let Ok(output) = output else {
        println!("NOT TESTED: there is no setpriv");
        return;
    };
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(
        !output.status.success() && text.contains("as root"),
        "{text}"
    );
}

#[test]
fn a_process_in_another_container_is_found() {
    let Some(program) = watched() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // Namespaces of processes and mounts of its own, with another /tmp: its path and its number mean nothing here.
    let script = format!(
        "mount -t tmpfs none /tmp && exec env LD_PRELOAD={} JEMOXIDE_CONF=control:/tmp/live {}",
        artifacts::library().display(),
        program.display()
    );
    let mut child = Command::new("unshare")
        .args([
            "--pid",
            "--mount",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            &script,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut ready = [0; 6];
    let out = child.stdout.as_mut().expect("piped");
    if out.read_exact(&mut ready).is_err() {
        println!("NOT TESTED: this machine lets nobody make namespaces");
        let _ = child.wait();
        return;
    }
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let pid = fs::read_to_string(children)
        .expect("one child")
        .trim()
        .to_owned();
    let text = said(&["stats", "--json", &pid]);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["pid"], 1, "its number inside");
    assert!(json["rss"]["rss"].as_u64() > Some(40_000_000), "{json}");
    let _ = child.kill();
    let _ = child.wait();
    drop(folder);
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}
