//! `jemoxide stats`: a living process, its files, what others may see of it, and what is said where there is nothing.

use std::fs;
use std::process::{Command, Stdio};

use jemoxide_testkit::artifacts;
use jemoxide_testkit::folder::Folder;

use crate::service::{Service, is_ready, watched};
use crate::{COMMAND, complaint, path, said};

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
    let copy = service.folder.join("copy");
    assert!(said(&["stats", path(&file)]).contains("live objects"));
    fs::copy(&file, &copy).expect("readable");
    let text = said(&["stats", path(&copy)]);
    assert!(
        text.contains("did not answer") && text.contains("4096 B"),
        "{text}"
    );
}

#[test]
fn stats_reads_a_report_and_printed_statistics() {
    let Some(program) = watched() else { return };
    let folder = Folder::new();
    let options = format!(
        "report_dir:{},stats_print:true,stats_print_opts:J",
        folder.display()
    );
    let mut child = Command::new(program)
        .env("LD_PRELOAD", artifacts::library())
        .env("JEMOXIDE_CONF", options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    assert!(is_ready(&mut child), "it says so");
    // SAFETY: a plain call; the child is ours and not reaped.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let pid = child.id();
    let output = child.wait_with_output().expect("ends");
    let report = folder.join(pid.to_string());
    let text = said(&["stats", path(&report)]);
    assert!(
        text.contains("allocated") && text.contains("live objects"),
        "{text}"
    );
    let saved = folder.join("saved.json");
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
    if !is_ready(&mut child) {
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
}
