//! The command-line tool.
mod machine;
mod output;
fn main() {}
