//! Names of system calls, for who reads what failed: as the headers of the kernel have them.

use std::collections::BTreeMap;

/// Where the headers may be.
const HEADERS: [&str; 2] = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"];

/// Numbers to names.
pub struct Names(BTreeMap<i64, String>);

impl Names {
    /// Reads them; without headers there are none.
    pub fn read() -> Self {
        let text = HEADERS.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let named = text.lines().filter_map(|line| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((number.trim().parse().ok()?, name.to_owned()))
        });
        Self(named.collect())
    }

    /// The name of a call, or its number.
    pub fn of(&self, number: i64) -> String {
        self.0.get(&number).cloned().unwrap_or_else(|| format!("call-{number}"))
    }
}
