//! How the program is linked.

#[path = "../static_program.rs"]
mod static_program;

fn main() {
    static_program::link();
}
