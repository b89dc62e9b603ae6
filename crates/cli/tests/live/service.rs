//! A process that is watched: `programs/process/live_service.c`, which holds 10 000 objects of 4 KiB and waits.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use jemoxide_testkit::folder::Folder;
use jemoxide_testkit::{artifacts, compiler};

/// The program that is watched; `None` without a compiler, which the kit says.
pub(crate) fn watched() -> Option<PathBuf> {
    compiler::c("process/live_service.c", "live_service", &[])
}

/// A watched process with its channel open, in a folder of its own.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) folder: Folder,
}

impl Service {
    pub(crate) fn start(options: &str) -> Option<Self> {
        let folder = Folder::new();
        let live = format!("control:{}/live", folder.display());
        let child = Command::new(watched()?)
            .env("LD_PRELOAD", artifacts::library())
            .env("JEMOXIDE_CONF", options.replace("LIVE", &live))
            .env_remove("MALLOC_CONF")
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut service = Self { child, folder };
        assert!(is_ready(&mut service.child), "it says so");
        Some(service)
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The file of its channel, the only one in its folder.
    pub(crate) fn file(&self) -> PathBuf {
        let files = self.folder.names();
        assert_eq!(files.len(), 1, "one process, one file: {files:?}");
        self.folder.join(&files[0])
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a program that was just started says that it is ready; `false`: it ended before.
pub(crate) fn is_ready(child: &mut Child) -> bool {
    let mut ready = [0; 6];
    let output = child.stdout.as_mut().expect("piped");
    output.read_exact(&mut ready).is_ok() && &ready == b"ready\n"
}
