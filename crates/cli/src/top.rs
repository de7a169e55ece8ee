//! `top`: the processes of a container, as ps(1) of this host shows them.

use crate::place::{open, print};
use engine::{Error, Kind, Result};
use std::process::Command;

/// Show the processes of a container
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  devoxx-container top web\n  devoxx-container top web -o pid,etime,args")]
pub struct Top {
    /// Name or id
    container: String,
    /// Options of ps(1)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// `top`.
pub fn top(arguments: &Top) -> Result<i32> {
    let place = open(Some(&arguments.container))?;
    let processes = engine::processes(&place.paths, &arguments.container)?;
    let options =
        if arguments.options.is_empty() { vec!["-ef".to_owned()] } else { arguments.options.clone() };
    let asked = Command::new("ps").args(&options).env("LC_ALL", "C").output().map_err(|error| {
        let error = Error::new(Kind::Failed, format!("execute ps: {error}"));
        error.with_hint("install procps, or use exec with the ps of the container")
    })?;
    let text = String::from_utf8_lossy(&asked.stdout);
    if !asked.status.success() {
        let reason = String::from_utf8_lossy(&asked.stderr);
        let reason = reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no word");
        return Err(Error::new(Kind::Usage, format!("ps {}: {reason}", options.join(" "))));
    }
    let table = table_of(&text, &processes).ok_or_else(|| {
        Error::new(Kind::Usage, format!("ps {} shows no column PID", options.join(" ")))
            .with_hint("the processes of the container are found by it")
    })?;
    print(&table)?;
    Ok(0)
}

/// The header, and the lines of these processes.
fn table_of(text: &str, processes: &[i32]) -> Option<String> {
    let mut lines = text.lines();
    let header = lines.next()?;
    let column = header.split_whitespace().position(|word| word == "PID")?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| processes.contains(&pid))
    };
    Some([header].into_iter().chain(lines.filter(ours)).map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let text = "UID PID CMD\nroot 7 a b\nroot 8 c\nroot 17 7\nroot\n";
        assert_eq!(table_of(text, &[7, 9]).as_deref(), Some("UID PID CMD\nroot 7 a b"));
        assert_eq!(table_of("UID CMD\n", &[7]), None);
        assert_eq!(table_of("", &[7]), None);
    }
}
