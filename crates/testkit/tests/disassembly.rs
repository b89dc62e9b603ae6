//! The fast paths of the built library, read as machine code.
//!
//! ```text
//!  mov  rax, [rip+..]        where the thread word lies
//!  mov  rax, fs:[rax]        the word: from here on rax leads to a bin ........ traced
//!  add  rax, rdi             still does
//!  mov  rcx, [rax]           head, load: one base register, 64 bits ........... checked
//!  lea  rdx, [rcx+8]         rcx is the head's value: not traced
//!  mov  [rax], rdx           head, store ...................................... checked
//!  ret
//! ```
//! A1  (Rule A) Whatever is reached from the thread word is reached through one base register plus
//!     displacement. With an index register in the address the processor cannot rename the memory
//!     word, and a pair of calls takes twice as long.
//! A2  The head, the first 8 bytes of a bin of 16, is loaded and stored 64 bits wide.
//! A3  The hit path, the shortest way to a return that stores a head, is no longer than its budget.
//!
//! All ways from a door to its return are followed, through jumps and direct calls, as long as they
//! are no longer than a fast path can be.

use std::collections::HashMap;
use std::fs;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, InstructionInfoFactory,
    IntelFormatter, Mnemonic, OpAccess, OpKind, Register,
};
use jemoxide_testkit::{artifacts, compiler};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// Doors whose hit path is checked, and how many instructions it may take, the last return included.
///
/// Throwing new keeps the size for a second try; sized delete compares the class of the size with
/// that of the page. `None`: clears memory, at a cost that depends on
/// the size.
const BUDGETS: [(&str, Option<usize>); 5] = [
    ("malloc", Some(20)),
    ("free", Some(26)),
    ("_Znwm", Some(26)),
    ("_ZdlPvm", Some(30)),
    ("calloc", None),
];

/// Bytes of a bin; its head comes first.
const BIN_BYTES: i64 = 16;
const HEAD_BYTES: usize = 8;
/// Bytes of all bins; what lies behind them in a cache is for looks and slow paths.
const BINS_BYTES: i64 = 42 * BIN_BYTES;

/// Ways through a door that take more instructions are not fast paths and are given up.
const LONGEST: usize = 36;

#[test]
fn the_fast_paths_keep_the_addressing_rule_and_their_budget() {
    if artifacts::is_stand_in() {
        compiler::announce_untested("a stand-in has other fast paths");
        return;
    }
    let bytes = fs::read(artifacts::library()).expect("the library was built");
    let file = object::File::parse(&*bytes).expect("a shared library");
    if file.architecture() != object::Architecture::X86_64 {
        compiler::announce_untested("the addressing rule is read from x86-64 code only");
        return;
    }
    let code = Code::of(&file);
    for (name, budget) in BUDGETS {
        let symbol = file
            .dynamic_symbols()
            .find(|symbol| symbol.is_definition() && symbol.name() == Ok(name))
            .unwrap_or_else(|| panic!("{name} is not exported"));
        let paths = code.paths(symbol.address());
        for path in &paths {
            let breaches = trace(path).breaches;
            assert!(
                breaches.is_empty(),
                "{name}: {breaches:?}\n{}",
                listing(path)
            );
        }
        let hit = hit_path(&paths).unwrap_or_else(|| panic!("{name} has no hit path"));
        println!("{name}: {} instructions\n{}", hit.len(), listing(hit));
        if let Some(budget) = budget {
            assert!(
                hit.len() <= budget,
                "{name}: {} > {budget}\n{}",
                hit.len(),
                listing(hit)
            );
        }
    }
}

/// mov rax,[rip]; mov rax,fs:[rax]
const LOAD_WORD: [u8; 11] = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x64, 0x48, 0x8b, 0x00];

#[test]
fn a_rule_abiding_path_is_let_through_and_counted() {
    let path = [
        &LOAD_WORD[..],
        &[0x48, 0xc1, 0xe7, 0x04],       // shl rdi,4
        &[0x48, 0x01, 0xf8],             // add rax,rdi
        &[0x48, 0x8b, 0x08],             // mov rcx,[rax]
        &[0x66, 0x3b, 0x48, 0x08],       // cmp cx,[rax+8]
        &[0x74, 0x0b],                   // je over the return, out of the function
        &[0x48, 0x8d, 0x51, 0x08],       // lea rdx,[rcx+8]
        &[0x48, 0x89, 0x10],             // mov [rax],rdx
        &[0x48, 0x8b, 0x04, 0xf9, 0xc3], // mov rax,[rcx+rdi*8]: an object's slot; ret
    ]
    .concat();
    let paths = Code::made_up(&path).paths(0x1000);
    let hit = hit_path(&paths).expect("a head is stored");
    assert_eq!(hit.len(), 11);
    assert_eq!(trace(hit).breaches, [""; 0]);
}

#[test]
fn an_indexed_or_narrow_head_is_noticed() {
    let breaches = |body: &[u8]| {
        let code = [&LOAD_WORD[..], body, &[0xc3]].concat();
        let paths = Code::made_up(&code).paths(0x1000);
        assert_eq!(paths.len(), 1);
        trace(&paths[0]).breaches
    };
    // mov rcx,[rax+rdi*8]; mov [rax+rdi*8],rcx
    let indexed = [0x48, 0x8b, 0x0c, 0xf8, 0x48, 0x89, 0x0c, 0xf8];
    assert_eq!(breaches(&indexed).len(), 2);
    // lea rdx,[rax+rdi]; mov rcx,[rsi+rdx]: the bin is the index
    assert_eq!(
        breaches(&[0x48, 0x8d, 0x14, 0x38, 0x48, 0x8b, 0x0c, 0x16]).len(),
        1
    );
    // mov r8,rax; add r8,16; mov ecx,[r8]: half a head
    assert_eq!(
        breaches(&[0x49, 0x89, 0xc0, 0x49, 0x83, 0xc0, 0x10, 0x41, 0x8b, 0x08]).len(),
        1
    );
    // add [rax+rdi*8],rdx: neither load nor store alone
    assert_eq!(breaches(&[0x48, 0x01, 0x14, 0xf8]).len(), 1);
    // movzx ecx,byte ptr [rax+8]: a mark, not the head
    assert_eq!(breaches(&[0x0f, 0xb6, 0x48, 0x08]), [""; 0]);
    // xor eax,eax; mov rcx,[rax+rdi*8]: the register was overwritten
    assert_eq!(breaches(&[0x31, 0xc0, 0x48, 0x8b, 0x0c, 0xf8]), [""; 0]);
}

/// Machine code at its addresses.
struct Code {
    start: u64,
    bytes: Vec<u8>,
}

impl Code {
    fn of(file: &object::File<'_>) -> Self {
        let section = file.section_by_name(".text").expect("a library has code");
        let bytes = section.data().expect("readable").to_vec();
        Self {
            start: section.address(),
            bytes,
        }
    }

    fn made_up(bytes: &[u8]) -> Self {
        Self {
            start: 0x1000,
            bytes: bytes.to_vec(),
        }
    }

    fn decode(&self, address: u64) -> Option<Instruction> {
        let offset = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(offset..)?;
        Some(Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode())
    }

    /// Every way from the function at `entry` to its return that enters no instruction twice.
    fn paths(&self, entry: u64) -> Vec<Vec<Instruction>> {
        let mut found = Vec::new();
        let mut open = vec![Way {
            path: Vec::new(),
            callers: Vec::new(),
            address: entry,
        }];
        while let Some(mut way) = open.pop() {
            let is_again = way.path.iter().any(|entered| entered.ip() == way.address);
            let Some(instruction) = self.decode(way.address) else {
                continue;
            };
            if is_again || way.path.len() == LONGEST {
                continue;
            }
            way.path.push(instruction);
            let next = instruction.next_ip();
            match instruction.flow_control() {
                FlowControl::Return => match way.callers.pop() {
                    Some(caller) => open.push(Way {
                        address: caller,
                        ..way
                    }),
                    None => found.push(way.path),
                },
                FlowControl::Next => open.push(Way {
                    address: next,
                    ..way
                }),
                FlowControl::UnconditionalBranch => {
                    open.push(Way {
                        address: instruction.near_branch_target(),
                        ..way
                    });
                }
                FlowControl::ConditionalBranch => {
                    let target = instruction.near_branch_target();
                    open.push(Way {
                        address: target,
                        ..way.clone()
                    });
                    open.push(Way {
                        address: next,
                        ..way
                    });
                }
                FlowControl::Call => {
                    way.callers.push(next);
                    open.push(Way {
                        address: instruction.near_branch_target(),
                        ..way
                    });
                }
                _ => {}
            }
            assert!(
                open.len() + found.len() < 100_000,
                "too many ways through the function"
            );
        }
        found
    }
}

/// A way through the code, so far.
#[derive(Clone)]
struct Way {
    path: Vec<Instruction>,
    callers: Vec<u64>,
    address: u64,
}

/// What one path does with the thread's bins.
struct Trace {
    breaches: Vec<String>,
    head_loads: usize,
    head_stores: usize,
}

/// Follows the thread word along `path`: which registers lead to a bin, and how they are used.
fn trace(path: &[Instruction]) -> Trace {
    let mut result = Trace {
        breaches: Vec::new(),
        head_loads: 0,
        head_stores: 0,
    };
    // Registers that lead to a bin, and by how many bytes they are past its start.
    let mut leads: HashMap<Register, i64> = HashMap::new();
    let mut factory = InstructionInfoFactory::new();
    for instruction in path {
        let info = factory.info(instruction);
        for memory in info.used_memory() {
            let base = leads.get(&memory.base()).copied();
            if base.is_none() && !leads.contains_key(&memory.index()) {
                continue;
            }
            if memory.index() != Register::None {
                result
                    .breaches
                    .push(format!("indexed: {}", text(instruction)));
                continue;
            }
            let offset = base.unwrap_or(0).wrapping_add(memory.displacement() as i64);
            if offset < BINS_BYTES && offset.rem_euclid(BIN_BYTES) < HEAD_BYTES as i64 {
                let is_whole = memory.memory_size().size() == HEAD_BYTES;
                if !is_whole || offset.rem_euclid(BIN_BYTES) != 0 {
                    result
                        .breaches
                        .push(format!("narrow: {}", text(instruction)));
                }
                let access = memory.access();
                result.head_loads += usize::from(access != OpAccess::Write);
                result.head_stores += usize::from(access != OpAccess::Read);
            }
        }
        let lead = lead_after(instruction, &leads);
        for used in info.used_registers() {
            if !matches!(used.access(), OpAccess::Read | OpAccess::CondRead) {
                leads.remove(&used.register().full_register());
            }
        }
        if let Some((register, offset)) = lead {
            leads.insert(register, offset);
        }
    }
    result
}

/// The register that leads to a bin because of `instruction`, if one does.
fn lead_after(
    instruction: &Instruction,
    leads: &HashMap<Register, i64>,
) -> Option<(Register, i64)> {
    if instruction.op_count() < 2 || instruction.op0_kind() != OpKind::Register {
        return None;
    }
    let to = instruction.op0_register();
    let from = match instruction.op1_kind() {
        OpKind::Register => leads.get(&instruction.op1_register()).copied(),
        _ => None,
    };
    let own = leads.get(&to).copied();
    let offset = match instruction.mnemonic() {
        // The word itself: thread storage at an offset held in a register. Absolute offsets are
        // the thread control block's.
        Mnemonic::Mov if instruction.op1_kind() == OpKind::Memory => {
            let is_thread = instruction.memory_segment() == Register::FS;
            (is_thread && instruction.memory_base() != Register::None).then_some(0)
        }
        Mnemonic::Mov => from,
        Mnemonic::Lea => {
            let base = leads.get(&instruction.memory_base()).copied();
            let index = leads.get(&instruction.memory_index()).copied();
            base.or(index)
                .map(|offset| offset.wrapping_add(instruction.memory_displacement64() as i64))
        }
        Mnemonic::Add | Mnemonic::Sub if instruction.op1_kind() != OpKind::Register => {
            let sign = if instruction.mnemonic() == Mnemonic::Add {
                1
            } else {
                -1
            };
            let step = instruction.try_immediate(1).map_or(0, |value| value as i64);
            own.map(|offset| offset.wrapping_add(sign * step))
        }
        Mnemonic::Add => own.or(from),
        Mnemonic::Sub | Mnemonic::Or => own,
        _ => None,
    };
    offset.map(|offset| (to, offset))
}

/// The shortest path that loads and stores a head.
fn hit_path(paths: &[Vec<Instruction>]) -> Option<&Vec<Instruction>> {
    paths
        .iter()
        .filter(|path| {
            let trace = trace(path);
            trace.head_loads > 0 && trace.head_stores > 0
        })
        .min_by_key(|path| path.len())
}

fn text(instruction: &Instruction) -> String {
    let mut text = String::new();
    IntelFormatter::new().format(instruction, &mut text);
    text
}

fn listing(path: &[Instruction]) -> String {
    path.iter()
        .map(|instruction| format!("  {:#8x}  {}\n", instruction.ip(), text(instruction)))
        .collect()
}
