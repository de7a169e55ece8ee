//! Keeps the inputs of the targets.
//!
//! ```text
//! corpus targets                       their names, one a line, with the longest input and the memory of one allocation
//! corpus unpack TARGET DIRECTORY       what was kept, what it starts from, and the words in DIRECTORY.dict
//! corpus pack TARGET DIRECTORY         keeps what is in DIRECTORY
//! corpus run TARGET FILE...            gives it these inputs
//! corpus add TARGET LOG PAGE           adds a run to PAGE, by libFuzzer's log
//! ```

use fuzz::{ALL, Target, corpus, runs};
use std::path::Path;

#[expect(clippy::print_stderr, reason = "a program, for who runs it")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Err(wrong) = call(&words) {
        eprintln!("corpus: {wrong}");
        std::process::exit(1);
    }
}

#[expect(clippy::print_stdout, reason = "a program, for who runs it")]
fn call(words: &[&str]) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    match words {
        ["targets"] => {
            for target in ALL {
                println!("{} {} {}", target.name, target.longest, target.most_memory);
            }
            Ok(())
        }
        ["unpack", name, directory] => corpus::unpack(target(name)?, Path::new(directory)).map_err(failed),
        ["pack", name, directory] => {
            let count = corpus::pack(target(name)?, Path::new(directory)).map_err(failed)?;
            println!("{name}: {count} inputs");
            Ok(())
        }
        ["run", name, files @ ..] => {
            let target = target(name)?;
            for file in files {
                (target.run)(&std::fs::read(file).map_err(failed)?);
            }
            Ok(())
        }
        ["add", name, log, page] => {
            runs::add(target(name)?.name, Path::new(log), Path::new(page)).map_err(failed)
        }
        _ => Err("targets, unpack, pack, run or add".to_owned()),
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    fuzz::target(name).ok_or_else(|| format!("no target {name:?}"))
}
