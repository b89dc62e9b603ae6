//! Terminal: keys in, frames out, and the screen put back at the end.
//!
//! | key | |
//! |---|---|
//! | q, Esc, Ctrl-C | leave |
//! | Tab, 1 2 3 | arenas, size classes, stacks |
//! | p, then y | profiling on or off |
//! | up, down | lines of the table |
//! | space | hold still, or go on |
//! | ? | what the words mean |

use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::{self, Face, Table};
use super::watch::Watch;
use crate::failure::Failure;

/// How soon news of the process, and a key at the latest, are seen.
const STEP: Duration = Duration::from_millis(100);

/// Shows the process until a key says that it is enough.
pub(super) fn run(watch: &mut Watch) -> Result<(), Failure> {
    let mut terminal = ratatui::try_init()
        .map_err(|why| Failure::broken(format!("the terminal cannot be used: {why}.")))?;
    let outcome = show(&mut terminal, watch);
    // Rule W1; a panic does the same through the hook that `try_init` has set.
    ratatui::restore();
    outcome.map_err(|why| Failure::broken(format!("the terminal failed: {why}.")))
}

fn show(terminal: &mut DefaultTerminal, watch: &mut Watch) -> std::io::Result<()> {
    let mut face = Face::default();
    let mut is_due = true;
    loop {
        if is_due {
            terminal.draw(|frame| view::draw(frame, watch, &face))?;
        }
        is_due = false;
        if event::poll(STEP)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    if !take_key(key, watch, &mut face) {
                        return Ok(());
                    }
                    is_due = true;
                }
                Event::Resize(..) => is_due = true,
                _ => {}
            }
        }
        let is_new = watch.step();
        is_due |= is_new && !face.is_held;
    }
}

/// Does what `key` says. `false`: leave.
fn take_key(key: KeyEvent, watch: &mut Watch, face: &mut Face) -> bool {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if is_control => return false,
        // It costs the process something, and goes on when the watch has ended: not by a slip of a finger.
        code if face.is_asked => {
            face.is_asked = false;
            if matches!(code, KeyCode::Char('y' | 'Y')) {
                watch.switch_profiling();
            }
        }
        KeyCode::Esc if face.is_explained => face.is_explained = false,
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('?' | 'h') => face.is_explained = !face.is_explained,
        KeyCode::Char(' ') => face.is_held = !face.is_held,
        KeyCode::Char('p') => face.is_asked = !watch.has_ended,
        KeyCode::Char('1') => face.turn_to(Table::Arenas),
        KeyCode::Char('2') => face.turn_to(Table::Classes),
        KeyCode::Char('3') => face.turn_to(Table::Stacks),
        KeyCode::Tab | KeyCode::Right => face.turn_to(face.table.next()),
        KeyCode::BackTab | KeyCode::Left => face.turn_to(face.table.next().next()),
        KeyCode::Down => face.first = face.first.saturating_add(1),
        KeyCode::Up => face.first = face.first.saturating_sub(1),
        KeyCode::Home => face.first = 0,
        _ => {}
    }
    watch.wants_stacks = face.table == Table::Stacks;
    true
}
