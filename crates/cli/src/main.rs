//! The program devoxx-container.
fn main() {}
