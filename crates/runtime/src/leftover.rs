//! What devoxx-runtime left behind that is no container: its maker was killed before it was done, or its record cannot be read.
//!
//! A container that has ended is none of it: whoever made it may still ask for its state, and deletes it.

use crate::delete;
use crate::error::{Kind, Result};
use crate::state::{self, Init, Phase, Record};
use serde::Deserialize;
use std::path::Path;

/// Why it is no container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// Nobody makes it any more.
    Unfinished,
    /// Its record is none.
    Unreadable,
}

/// Whether what stands under an id is no container.
pub fn of(root: &Path, id: &str) -> Result<Option<Leftover>> {
    found(root, id).map(|found| found.map(|(leftover, _)| leftover))
}

/// Removes it with all that its record names, as `delete` does, and returns that one's warnings. What has become a container is left
/// alone.
pub fn remove(root: &Path, id: &str) -> Result<Vec<String>> {
    let Some(_held) = delete::hold(root, id)? else { return Ok(Vec::new()) };
    match found(root, id)? {
        Some((_, record)) => delete::removed(root, &record),
        None => Ok(Vec::new()),
    }
}

fn found(root: &Path, id: &str) -> Result<Option<(Leftover, Record)>> {
    let record = match state::read(root, id) {
        Err(error) if error.kind == Kind::NoSuchContainer => return Ok(None),
        Err(error) if error.kind == Kind::Invalid => {
            // It names nothing that we would know how to remove.
            let none = Record { id: id.to_owned(), ..Record::default() };
            return Ok((!is_of_another_version(root, id)?).then_some((Leftover::Unreadable, none)));
        }
        other => other?,
    };
    let made = record.phase == Phase::Created || record.maker.map_or(Ok(false), Init::is_alive)?;
    Ok((!made).then_some((Leftover::Unfinished, record)))
}

/// What every version has written: whose container it is.
#[derive(Deserialize)]
struct Known {
    init: Option<Init>,
}

/// Whether a record that cannot be read is of a container that runs: another version may have written it.
fn is_of_another_version(root: &Path, id: &str) -> Result<bool> {
    let Ok(text) = std::fs::read(state::directory(root, id).join("state.json")) else { return Ok(false) };
    let known = serde_json::from_slice::<Known>(&text).ok();
    known.and_then(|known| known.init).map_or(Ok(false), Init::is_alive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_container_is_left_over() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let this = serde_json::to_value(Init::of_this_process().unwrap()).unwrap();
        let dead = serde_json::to_value(Init { pid: 4_194_304, start_time: 1 }).unwrap();
        let check = |id: &str, state: Option<serde_json::Value>, expected: Option<Leftover>| {
            let place = root.join(id);
            std::fs::create_dir(&place).unwrap();
            if let Some(state) = state {
                let text = state.as_str().map_or_else(|| state.to_string(), str::to_owned);
                std::fs::write(place.join("state.json"), text).unwrap();
            }
            assert_eq!(of(root, id).unwrap(), expected, "{id}");
            remove(root, id).unwrap();
            assert_eq!(place.exists(), expected.is_none(), "{id}");
        };
        use serde_json::json;
        check("none", None, Some(Leftover::Unfinished));
        check("torn", Some(json!("{\"id\":")), Some(Leftover::Unreadable));
        check("another", Some(json!({"id": "x", "phase": "created"})), Some(Leftover::Unreadable));
        check(
            "half",
            Some(json!({"id": "half", "phase": "creating", "maker": dead})),
            Some(Leftover::Unfinished),
        );
        check("making", Some(json!({"id": "making", "phase": "creating", "maker": this})), None);
        check("ended", Some(json!({"id": "ended", "phase": "created", "init": dead})), None);
        check("runs", Some(json!({"id": "runs", "phase": "created", "init": this})), None);
        check("newer", Some(json!({"id": "newer", "phase": "dreaming", "init": this})), None);
        check(
            "older",
            Some(json!({"id": "older", "phase": "dreaming", "init": dead})),
            Some(Leftover::Unreadable),
        );
        assert_eq!(of(root, "gone").unwrap(), None);
        remove(root, "gone").unwrap();
    }
}
