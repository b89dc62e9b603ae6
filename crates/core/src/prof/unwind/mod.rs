//! The unwinder: return addresses of the calling thread, from inside the allocator.
//!
//! ```text
//! capture ──> registers here ─┐     ┌──────────────────────── caller's registers ──────────────────────┐
//!                             v     v                                                                  │
//!                        place in the code ── rules ── found? ────────────────────────> rule ──> stack ┴─> frames[n]
//!                                               │ no                                     ^
//!                                            modules ── list of functions ── rows ───────┘
//!                                               │ unknown
//!                                            loader, or the kernel's list of mappings
//! ```
//! A program may allocate anywhere: in a signal handler, inside `dlopen` with the loader's lock held, on a stack of its
//! own making, while another thread unloads a library. Hence the rules:
//!
//! V1  No lock is taken, no memory allocated, nobody waited for. What is shared is atomics that are whole at every instant,
//!     also in a forked child and in a signal handler that interrupts this very code.
//! V2  Memory is loaded only where it is known to be mapped: the thread's own stack (K1), tables of modules that stay (L1).
//!     All else is read by the kernel, which does not fault.
//! V3  Work is bounded: frames by the caller, questions to the kernel (K3), bytes of tables (L2), instructions of one
//!     description (W1), operations of an expression (X1). So is the use of the stack: less than 3 KiB.
//! V4  Of a caller only what the tables say is believed: a frame pointer is followed where they say that it is one, and, with
//!     no tables at all (code made at run time), where it leads up the stack to an address behind a call instruction.
//! V5  Frames go up the stack, but over a signal handler's and where the tables compute their address (stacks linked by
//!     hand): else the walk ends.
//! V6  A walk that meets what it cannot read or does not know ends there: what was found so far is the answer.
//! V7  Nearly all frames are found by the stack pointer, or the frame pointer. So a walk follows these two first, and begins
//!     again with all registers when it comes to a frame that may need another: a third of the work.
//!
//! | file | what |
//! |---|---|
//! | `stack` | words of the stack, without faults |
//! | `rule`, `rules` | a row in one word; those found, by place in the code |
//! | `modules` | modules that stacks led through, and whether they are still themselves |
//! | `loader`, `maps` | who is at an address: asked of glibc, or read in the kernel's list |
//! | `elf`, `exports` | what a module in memory says of itself; the functions it has for others |
//! | `scope` | whose function a name leads to: for the C door |
//! | `table`, `frames`, `row`, `expression` | reading unwind tables: bytes, functions, rows, computed addresses |
//!
//! Frames of the allocator: with a *mark*, an address in the frame of its outermost function, that function's caller is the
//! first frame. Beyond that, frames of this module are left out at the top where it is the C door's shared library. Linked
//! into a program it cannot be told apart by address; there at most `malloc` itself, or the language's entry points, come
//! first, and who reads the profile leaves them out by name.
//!
//! Rules are remembered by atomics alone; the tables of 128 and 32 KiB are touched by processes that profile only.

mod elf;
mod exports;
mod expression;
mod frames;
mod loader;
mod maps;
mod modules;
mod row;
mod rule;
mod rules;
mod scope;
mod stack;
mod table;

use crate::sys::image;
use crate::sys::registers::{
    self, CALL_BYTES, FRAME, HANDLER_RETURNS_TO, RETURN, Registers, SAVED_FOR_HANDLER, STACK,
};
use core::sync::atomic::{AtomicUsize, Ordering};
use elf::Module;
use modules::Name;
use row::{Frame, Origin, Row};
use rule::{Kind, Rule};
use stack::Stack;
use table::Tables;

pub use scope::first_defined;

/// Fills `frames` with return addresses of the calling thread, innermost first; answers how many.
///
/// The first is the one in the caller of this function, but for the allocator's own frames where they can be told apart.
#[inline(always)]
pub(crate) fn capture(frames: &mut [usize]) -> usize {
    capture_above(frames, 0)
}

/// As [`capture`], beginning with the caller of the function whose frame has the address `mark` in it: that of a local
/// variable of the allocator's outermost function.
#[inline(never)]
pub(crate) fn capture_above(frames: &mut [usize], mark: usize) -> usize {
    let here = registers::here();
    match Walk::short(here).fill(frames, mark) {
        Some(count) => count,
        None => capture_fully(here, frames, mark),
    }
}

/// As [`capture_above`], from the registers `here`, where two of them do not suffice (V7).
#[cold]
#[inline(never)]
fn capture_fully(here: Registers, frames: &mut [usize], mark: usize) -> usize {
    Walk::new(here).fill(frames, mark).unwrap_or(0)
}

/// The code that is left out at the top: first byte and the one behind. End 0: not known yet; `NOTHING`: none is.
static OWN: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
const NOTHING: usize = 1;

/// Modules recognised in one walk that it keeps in mind.
const RECOGNISED: usize = 8;

/// A walk up the stack.
struct Walk {
    /// Of the function being looked at.
    registers: Registers,
    stack: Stack,
    tables: Tables,
    /// The instruction pointer is where the function goes on, not behind a call.
    is_exact: bool,
    /// The walk ended at an address that looks like none in any code.
    is_lost: bool,
    /// Only stack pointer and frame pointer are followed (V7); and the walk ended as that does not suffice.
    is_short: bool,
    is_stuck: bool,
    /// Modules that are still themselves (N3).
    recognised: [u64; RECOGNISED],
    recognised_count: usize,
}

impl Walk {
    #[inline]
    fn new(registers: Registers) -> Self {
        Self {
            registers,
            stack: Stack::of_caller(registers[STACK]),
            tables: Tables::fleeting(),
            is_exact: true,
            is_lost: false,
            is_short: false,
            is_stuck: false,
            recognised: [0; RECOGNISED],
            recognised_count: 0,
        }
    }

    /// One that follows the stack pointer and the frame pointer alone (V7).
    #[inline]
    fn short(registers: Registers) -> Self {
        Self {
            is_short: true,
            ..Self::new(registers)
        }
    }

    /// Walks up to the end, or until `frames` is full; how many there are. `None`: a short walk does not get there.
    #[inline(always)]
    fn fill(mut self, frames: &mut [usize], mark: usize) -> Option<usize> {
        let own = self.own_code();
        let mut count = 0;
        while let Some(slot) = frames.get_mut(count) {
            if !self.step() {
                // An address in no module, behind no call, was none.
                count -= usize::from(self.is_lost && count > 0);
                break;
            }
            let address = self.registers[RETURN];
            let is_own = count == 0 && own.0 <= address && address < own.1;
            if self.registers[STACK] > mark && !is_own {
                *slot = address;
                count += 1;
            }
        }
        (!self.is_stuck).then_some(count)
    }

    /// The code that is left out at the top: that of this module, where it is the C door's shared library.
    fn own_code(&mut self) -> (usize, usize) {
        // Relaxed: numbers that every thread finds the same; who sees one without the other leaves out nothing.
        let end = match OWN[1].load(Ordering::Relaxed) {
            0 => self.find_own_code(),
            end => end,
        };
        (OWN[0].load(Ordering::Relaxed), end)
    }

    #[cold]
    fn find_own_code(&mut self) -> usize {
        let program = image::landmarks().program;
        let own = self.module_of(self.registers[RETURN]);
        let library = own.filter(|(_, module)| {
            image::has_c_door() && !(module.start..module.end).contains(&program)
        });
        let (start, end) =
            library.map_or((0, NOTHING), |(_, module)| (module.text, module.text_end));
        OWN[0].store(start, Ordering::Relaxed);
        OWN[1].store(end, Ordering::Relaxed);
        end
    }

    /// Goes to the caller. `false`: there is none, or none that can be found.
    fn step(&mut self) -> bool {
        // Behind a call that does not return another function may begin.
        let pc = self.registers[RETURN].wrapping_sub(usize::from(!self.is_exact));
        let rule = match rules::get(pc) {
            Some((rule, module)) if self.is_believed(module) => rule,
            _ => self.find_rule(pc),
        };
        let before = self.registers[STACK];
        let may_go_anywhere = match rule.kind() {
            Kind::Plain => {
                let done = self.follow(rule);
                self.is_exact = false;
                if done.is_none() {
                    return false;
                }
                false
            }
            kind => match self.step_slowly(kind, pc) {
                Some(may_go_anywhere) => may_go_anywhere,
                None => return false,
            },
        };
        // The end of a chain of frames, by convention.
        let has_caller = self.registers[RETURN] != 0;
        has_caller && (may_go_anywhere || self.registers[STACK] > before)
    }

    /// Takes a plain rule's caller.
    #[inline]
    fn follow(&mut self, rule: Rule) -> Option<()> {
        let (base, offset) = rule.frame();
        self.is_stuck = self.is_short && base != STACK && base != FRAME;
        if self.is_stuck {
            return None;
        }
        let frame = self.registers.get(base)?.wrapping_add(offset);
        let address = self.stack.word(frame.wrapping_sub(size_of::<usize>()))?;
        if self.is_short {
            let below = rule.saved_frame_pointer();
            if below != 0 {
                self.registers[FRAME] = self.stack.word(frame.wrapping_sub(below))?;
            }
        } else {
            for (register, below) in rule.saved() {
                let value = self.stack.word(frame.wrapping_sub(below))?;
                *self.registers.get_mut(register)? = value;
            }
        }
        self.registers[STACK] = frame;
        self.registers[RETURN] = address;
        Some(())
    }

    /// Takes the caller by a rule that is not plain; answers whether it may be anywhere in memory (V5).
    #[cold]
    #[inline(never)]
    fn step_slowly(&mut self, kind: Kind, pc: usize) -> Option<bool> {
        match kind {
            Kind::Handler => self.leave_handler(),
            Kind::Complex if self.is_short => {
                self.is_stuck = true;
                None
            }
            Kind::Complex => self.interpret(pc),
            Kind::Absent => {
                if self.is_handlers_return(self.registers[RETURN]) {
                    return self.leave_handler();
                }
                self.is_lost = !self.is_exact && !self.is_behind_call(self.registers[RETURN]);
                if self.is_lost {
                    return None;
                }
                self.follow_frame_pointer()
            }
            Kind::Plain | Kind::Outermost => None,
        }
    }

    /// Takes the registers that the kernel saved when it called a signal handler.
    fn leave_handler(&mut self) -> Option<bool> {
        let at = self.registers[STACK];
        let mut interrupted = self.registers;
        for (value, offset) in interrupted.iter_mut().zip(SAVED_FOR_HANDLER) {
            *value = self.stack.word(at.wrapping_add(offset))?;
        }
        self.registers = interrupted;
        self.is_exact = true;
        self.stack.switch_to(self.registers[STACK]);
        Some(true)
    }

    /// Takes the caller by the row in the tables.
    fn interpret(&mut self, pc: usize) -> Option<bool> {
        let (_, module) = self.module_of(pc)?;
        let (row, is_signal) = self.row(&module, pc)?;
        let registers = self.registers;
        let (stack, tables) = (&mut self.stack, &mut self.tables);
        let (frame, is_computed) = match row.frame {
            Frame::Register { number, offset } => {
                let base = *registers.get(number)?;
                (base.wrapping_add_signed(offset as isize), false)
            }
            Frame::Computed(expression) => {
                let value = expression::evaluate(expression, None, &registers, stack, tables)?;
                (value, true)
            }
        };
        let mut caller = registers;
        caller[STACK] = frame;
        for (register, origin) in row.origins() {
            let place = caller.get_mut(register)?;
            let offset = |bytes: i64| frame.wrapping_add_signed(bytes as isize);
            *place = match origin {
                Origin::Same if register == RETURN => return None,
                Origin::Same | Origin::Undefined => continue,
                Origin::At(bytes) => stack.word(offset(bytes))?,
                Origin::Offset(bytes) => offset(bytes),
                Origin::Register(number) => *registers.get(number)?,
                Origin::AtComputed(expression) => {
                    let first = Some(frame);
                    let at = expression::evaluate(expression, first, &registers, stack, tables)?;
                    stack.word(at)?
                }
                Origin::Computed(expression) => {
                    expression::evaluate(expression, Some(frame), &registers, stack, tables)?
                }
            };
        }
        let goes_on_above = caller[STACK] > self.registers[STACK];
        self.registers = caller;
        self.is_exact = is_signal;
        if !goes_on_above {
            self.stack.switch_to(caller[STACK]);
        }
        Some(is_computed || is_signal)
    }

    /// Takes the caller by the frame pointer, if that can be one (V4).
    fn follow_frame_pointer(&mut self) -> Option<bool> {
        const FARTHEST: usize = 1 << 20;
        const WORD: usize = size_of::<usize>();
        let frame = self.registers[FRAME];
        if frame.wrapping_sub(self.registers[STACK]) > FARTHEST {
            return None;
        }
        let next = self.stack.word(frame)?;
        let address = self.stack.word(frame.wrapping_add(WORD))?;
        if !self.is_behind_call(address) {
            return None;
        }
        self.registers[FRAME] = next;
        self.registers[STACK] = frame.wrapping_add(2 * WORD);
        self.registers[RETURN] = address;
        self.is_exact = false;
        Some(false)
    }

    /// The rule for `pc` from its module's tables, noted for the next time.
    #[cold]
    #[inline(never)]
    fn find_rule(&mut self, pc: usize) -> Rule {
        let Some((name, module)) = self.module_of(pc) else {
            return Rule::ABSENT;
        };
        let rule = match self.row(&module, pc) {
            Some((_, true)) if self.is_handlers_return(self.registers[RETURN]) => Rule::HANDLER,
            Some((_, true)) => Rule::COMPLEX,
            Some((row, false)) => Rule::of(&row),
            None => Rule::ABSENT,
        };
        if let Some(name) = name.filter(|_| !self.tables.is_spent()) {
            rules::put(pc, rule, name);
        }
        rule
    }

    /// The row for `pc` in the tables of `module`, and whether the code is where a signal handler returns to.
    fn row(&mut self, module: &Module, pc: usize) -> Option<(Row, bool)> {
        if module.tables == 0 && module.frames == 0 {
            return None;
        }
        let description = frames::find(&mut self.tables, module, pc)?;
        let row = Row::at(&mut self.tables, &description, pc)?;
        Some((row, description.common.is_signal))
    }

    /// The module that has code at `pc`; its tables are read from now on.
    fn module_of(&mut self, pc: usize) -> Option<(Option<Name>, Module)> {
        let remembered = modules::remembered(pc).filter(|&(name, _)| self.is_believed(name));
        let (name, module) = match remembered {
            Some((name, module)) => (Some(name), module),
            None => modules::find(pc)?,
        };
        let lasts = name.is_some_and(Name::is_lasting);
        let (low, high) = if lasts {
            (module.segment, module.segment_end)
        } else {
            (0, 0)
        };
        self.tables.turn_to(low, high);
        Some((name, module))
    }

    /// Whether what is remembered under `name` holds: the module is still there, and still itself (N3).
    #[inline(always)]
    fn is_believed(&mut self, name: Name) -> bool {
        modules::is_known(name) && (name.is_lasting() || self.recognises(name))
    }

    #[inline(never)]
    fn recognises(&mut self, name: Name) -> bool {
        let number = name.number();
        if self.recognised.contains(&number) {
            return true;
        }
        let Some(module) = modules::get(name) else {
            return false;
        };
        let now = module.fingerprint_now(&mut Tables::fleeting());
        if now != Some(module.fingerprint) {
            modules::forget(name);
            return false;
        }
        if let Some(place) = self.recognised.get_mut(self.recognised_count % RECOGNISED) {
            *place = number;
        }
        self.recognised_count += 1;
        true
    }

    /// Whether the instructions at `address` are those that a signal handler returns to.
    fn is_handlers_return(&self, address: usize) -> bool {
        let mut code = [0; HANDLER_RETURNS_TO.len()];
        image::copy(address, &mut code) && code == HANDLER_RETURNS_TO
    }

    /// Whether a call instruction lies before `address`.
    fn is_behind_call(&self, address: usize) -> bool {
        let mut code = [0; CALL_BYTES];
        image::copy(address.wrapping_sub(CALL_BYTES), &mut code) && registers::ends_with_call(&code)
    }
}

#[cfg(test)]
mod tests;
