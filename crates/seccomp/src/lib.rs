//! Seccomp programs: what the kernel is given as a filter (seccomp(2)). Pure: no input, no output.
//!
//! Today it holds the program's form, its place in a runtime's plan. The compiler from OCI profiles comes here.

/// One instruction of a classic BPF program (`struct sock_filter`): code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// A compiled program and the flags it is installed with. An empty program filters nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// In order.
    pub instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}
