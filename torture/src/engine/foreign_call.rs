//! A call that a program makes by each door that the kernel of this machine has for it: programs of a few bytes, whose exit code is the
//! errno. No compiler is asked for them.

use super::archive::Tar;

/// A way to ask for a socket.
pub struct Door {
    /// The program that goes through it.
    pub name: &'static str,
    /// Whether kernels are built without it.
    pub may_be_closed: bool,
    number: u32,
    /// The instruction.
    enters: [u8; 2],
}

/// `syscall`
const FAST: [u8; 2] = [0x0f, 0x05];
/// `int 0x80`, which also a program of 64 bits may use: what it asks for is then what one of 32 bits does.
const INTERRUPT: [u8; 2] = [0xcd, 0x80];

/// Those of socket(2): as every program, with the numbers of x32, with those of 32 bits.
#[cfg(target_arch = "x86_64")]
pub const DOORS: &[Door] = &[
    Door { name: "/bin/native", may_be_closed: false, number: 41, enters: FAST },
    Door { name: "/bin/x32", may_be_closed: true, number: 0x4000_0000 | 41, enters: FAST },
    Door { name: "/bin/i386", may_be_closed: true, number: 359, enters: INTERRUPT },
];

/// A program of another machine would be other bytes.
#[cfg(not(target_arch = "x86_64"))]
pub const DOORS: &[Door] = &[];

/// A program for each door, which makes the call with these arguments.
pub fn programs(arguments: [u32; 3]) -> Tar {
    DOORS.iter().fold(Tar::default(), |tar, door| {
        tar.program(door.name.trim_start_matches('/'), &program(&code(door, arguments)))
    })
}

/// The old way of 32 bits: one call for all that sockets do, whose further arguments are in memory. A filter cannot see the family there.
const SOCKETCALL: Door =
    Door { name: "/bin/socketcall", may_be_closed: true, number: 102, enters: INTERRUPT };

/// The same as a list, which is empty where [`DOORS`] is.
#[cfg(target_arch = "x86_64")]
pub const OLD: &[Door] = &[SOCKETCALL];

/// A program of another machine would be other bytes.
#[cfg(not(target_arch = "x86_64"))]
pub const OLD: &[Door] = &[];

/// A program that goes that way.
pub fn socketcall(arguments: [u32; 3]) -> Vec<u8> {
    /// `SYS_SOCKET` (include/uapi/linux/net.h)
    const SOCKET: u32 = 1;
    let length = code(&SOCKETCALL, [0; 3]).len();
    let place = u32::try_from(PLACE as usize + HEADERS as usize + length).unwrap_or_default();
    let mut code = code(&SOCKETCALL, [SOCKET, place, 0]);
    arguments.iter().for_each(|argument| code.extend(argument.to_le_bytes()));
    program(&code)
}

/// Makes the call, and ends with what it answered: 0, or the errno.
fn code(door: &Door, [first, second, third]: [u32; 3]) -> Vec<u8> {
    // mov to eax; ebx, ecx and edx, where one door has them; edi and esi, where the other has the first two.
    let registers =
        [(0xb8, door.number), (0xbb, first), (0xb9, second), (0xba, third), (0xbf, first), (0xbe, second)];
    let mut code: Vec<u8> = Vec::new();
    for (mov, value) in registers {
        code.push(mov);
        code.extend(value.to_le_bytes());
    }
    code.extend(door.enters);
    // xor edi, edi; test eax, eax; jns +4; neg eax; mov edi, eax; mov eax, 60 (exit); syscall
    code.extend([0x31, 0xff, 0x85, 0xc0, 0x79, 0x04, 0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0]);
    code.extend(FAST);
    code
}

/// Where a program is in its memory, and how long are what stands before its code (elf(5)).
const PLACE: u64 = 0x40_0000;
const FILE_HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;
const HEADERS: u64 = (FILE_HEADER + PROGRAM_HEADER) as u64;

/// Code as a file that can be executed.
fn program(code: &[u8]) -> Vec<u8> {
    // 64 bits, the lower byte first, version 1.
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_EXEC, EM_X86_64, version 1.
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    // Where it begins; where the one header of its memory is in the file; no sections, no flags.
    [PLACE + HEADERS, u64::from(FILE_HEADER), 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend([0; 4]);
    let sizes = [FILE_HEADER, PROGRAM_HEADER, 1, 64, 0, 0];
    sizes.iter().for_each(|size| file.extend(size.to_le_bytes()));
    // PT_LOAD, readable and executable: the whole file.
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    let length = HEADERS + code.len() as u64;
    [0, PLACE, PLACE, length, length, 0x1000].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(code);
    file
}
