//! Why a file that is there is not executed: what execve(2) says with one number of many things, looked at again.

use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags};
use std::ffi::CStr;
use sys::Errno;

/// As much of a file as tells what it is: a first line, or the headers of a program.
const HEAD: usize = 4096;

/// What a person should know of `path`, which execve(2) refused with `errno`; none where nothing more can be found out.
pub fn of(path: &CStr, errno: Errno) -> Option<String> {
    match errno {
        Errno::ACCESS => of_access(path),
        Errno::NOENT => of_interpreter(&head(path)?),
        Errno::NOEXEC => of_format(&head(path)?),
        _ => None,
    }
}

fn head(path: &CStr) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut buffer = vec![0; HEAD];
    let length = rustix::io::read(&file, &mut buffer[..]).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

fn of_access(path: &CStr) -> Option<String> {
    let stat = rustix::fs::stat(path).ok()?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Some("it is a directory".to_owned());
    }
    if stat.st_mode & 0o111 == 0 {
        return Some(format!("its mode is {:04o}: chmod +x", stat.st_mode & 0o7777));
    }
    let mount = rustix::fs::statvfs(path).ok()?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Some("it is on a mount with the option noexec".to_owned());
    }
    let user = rustix::process::geteuid().as_raw();
    Some(format!(
        "its mode is {:04o}, its owner {}, and this is user {user}",
        stat.st_mode & 0o7777,
        stat.st_uid
    ))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// The words of a first line `#!...`, as the kernel takes them apart: the interpreter, and whether the line ends as on Windows.
fn shebang(head: &[u8]) -> Option<(Vec<u8>, bool)> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii_start().split(|byte| [b' ', b'\t'].contains(byte)).next()?;
    Some((word.strip_suffix(b"\r").unwrap_or(word).to_vec(), line.ends_with(b"\r")))
}

fn of_interpreter(head: &[u8]) -> Option<String> {
    if let Some((interpreter, windows)) = shebang(head) {
        let name = shown(&interpreter);
        return Some(match windows {
            true => format!("its first line ends with CR LF, so {name} is not found: write the file with LF"),
            false => format!("its interpreter {name} is not in the container"),
        });
    }
    let loader = Program::read(head)?.loader?;
    Some(format!("its loader {} is not in the container: it is linked for another system", shown(&loader)))
}

fn of_format(head: &[u8]) -> Option<String> {
    if head.is_empty() {
        return Some("the file is empty".to_owned());
    }
    if let Some(program) = Program::read(head) {
        let (its, ours) = (machine_name(program.machine), std::env::consts::ARCH);
        if its != ours {
            return Some(format!("it is a program for {its}, and this machine is {ours}"));
        }
        return Some("it is a program that this kernel does not load".to_owned());
    }
    if head.starts_with(b"\xef\xbb\xbf#!") {
        return Some("a byte order mark stands before its first line '#!...'".to_owned());
    }
    Some("it is no program, and a script without a first line '#!...'".to_owned())
}

/// What the headers of an ELF file tell (elf(5)).
struct Program {
    machine: u16,
    loader: Option<Vec<u8>>,
}

impl Program {
    fn read(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"\x7fELF") {
            return None;
        }
        let (wide, little) = (*head.get(4)? == 2, *head.get(5)? == 1);
        let number = |at: usize, length: usize| -> Option<usize> {
            let bytes = head.get(at..at.checked_add(length)?)?;
            let add = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
            Some(if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
        };
        let machine = u16::try_from(number(18, 2)?).ok()?;
        let loader = || {
            // Where the program headers are, how large and how many.
            let (table, size, count) = match wide {
                true => (number(32, 8)?, number(54, 2)?, number(56, 2)?),
                false => (number(28, 4)?, number(42, 2)?, number(44, 2)?),
            };
            (0..count.min(64)).find_map(|index| {
                let at = table.checked_add(index * size)?;
                // PT_INTERP.
                if number(at, 4)? != 3 {
                    return None;
                }
                let (start, length) = match wide {
                    true => (number(at.checked_add(8)?, 8)?, number(at.checked_add(32)?, 8)?),
                    false => (number(at.checked_add(4)?, 4)?, number(at.checked_add(16)?, 4)?),
                };
                let name = head.get(start..start.checked_add(length)?)?;
                Some(name.split(|byte| *byte == 0).next()?.to_vec())
            })
        };
        Some(Self { machine, loader: loader() })
    }
}

/// The name of a machine as Rust and the kernel have it.
fn machine_name(number: u16) -> String {
    let known = [
        (3, "x86"),
        (8, "mips"),
        (20, "powerpc"),
        (21, "powerpc64"),
        (22, "s390x"),
        (40, "arm"),
        (62, "x86_64"),
        (183, "aarch64"),
        (243, "riscv64"),
        (258, "loongarch64"),
    ];
    let found = known.into_iter().find(|(one, _)| *one == number).map(|(_, name)| name.to_owned());
    found.unwrap_or_else(|| format!("a machine that is number {number} of ELF"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_lines() {
        let check = |text: &str, expected: &str| {
            assert_eq!(of_interpreter(text.as_bytes()).as_deref(), Some(expected))
        };
        check("#!/bin/none\n", "its interpreter /bin/none is not in the container");
        check("#! /bin/none -x\necho", "its interpreter /bin/none is not in the container");
        check(
            "#!/bin/sh\r\necho\r\n",
            "its first line ends with CR LF, so /bin/sh is not found: write the file with LF",
        );
        assert_eq!(of_format(b"").as_deref(), Some("the file is empty"));
        assert_eq!(
            of_format(b"\xef\xbb\xbf#!/bin/sh\n").as_deref(),
            Some("a byte order mark stands before its first line '#!...'")
        );
        assert!(of_format(b"echo hello\n").is_some_and(|text| text.contains("without a first line")));
    }

    #[test]
    fn programs() {
        let own = std::fs::read("/proc/self/exe").expect("this program");
        let mut head = own[..HEAD].to_vec();
        let program = Program::read(&head).expect("ELF");
        assert_eq!(machine_name(program.machine), std::env::consts::ARCH);
        head[18..20].copy_from_slice(&243u16.to_le_bytes());
        assert!(of_format(&head).is_some_and(|text| text.contains("a program for riscv64")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), elf in any::<bool>()) {
            if elf {
                bytes.splice(0..0, *b"\x7fELF");
            }
            let _ = (of_interpreter(&bytes), of_format(&bytes));
        }
    }
}
