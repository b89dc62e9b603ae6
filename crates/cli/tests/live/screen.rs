//! The command on a pseudo-terminal whose screen is read.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::COMMAND;

/// Far above what anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command on a pseudo-terminal.
pub(crate) struct Screen {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    pub(crate) seen: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    pub(crate) fn start(words: &[&str], rows: u16, columns: u16) -> Self {
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

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("writable");
        self.keys.flush().expect("writable");
    }

    fn text(&self) -> String {
        self.seen.lock().expect("whole").screen().contents()
    }

    /// Waits until the screen fits; what it shows then.
    pub(crate) fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
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

    pub(crate) fn shows(&self, parts: &[&str]) -> String {
        self.until(&format!("{parts:?}"), |text| {
            parts.iter().all(|part| text.contains(part))
        })
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let mut seen = self.seen.lock().expect("whole");
        seen.set_size(rows, columns);
        self.master.resize(size(rows, columns)).expect("resized");
    }

    /// Presses the key that leaves; the exit status.
    pub(crate) fn leave(mut self, key: &str) -> u32 {
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
pub(crate) fn shows_at_last(seen: &Mutex<vt100::Parser>, part: &str) {
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
