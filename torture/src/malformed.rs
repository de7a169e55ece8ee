//! What is tested of malformed input: each case of a test stands beside the name of its family, and is counted by it.

use crate::arguments::Arguments;
use crate::report::Section;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The families, a line each: its name, and what it is.
const FAMILIES: &str = include_str!("families.txt");

/// The tests that name them. A loop over values that are not written down counts as one case.
const TESTS: [&str; 15] = [
    "crates/cli/tests/e2e/answers.rs",
    "crates/cli/tests/e2e/bad_input.rs",
    "crates/cli/tests/e2e/registries.rs",
    "crates/image/src/layer/unpack/tests.rs",
    "crates/image/src/load.rs",
    "crates/image/src/manifest.rs",
    "crates/image/src/pull.rs",
    "crates/image/src/reference.rs",
    "crates/image/src/registry.rs",
    "crates/image/src/store/tests.rs",
    "crates/runtime/tests/cli/refusals.rs",
    "crates/runtime/tests/oci/malformed.rs",
    "crates/runtime/tests/oci/malformed/amounts.rs",
    "crates/runtime/tests/oci/malformed/records.rs",
    "crates/runtime/tests/oci/malformed/surroundings.rs",
];

/// So many there are to be.
const LEAST: usize = 500;

/// The families by their kinds, counted.
pub fn part(_: &Arguments) -> Section {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for test in TESTS {
        match fs::read_to_string(root.join(test)) {
            Ok(text) => marks(&text).for_each(|family| *counted.entry(family.to_owned()).or_default() += 1),
            Err(error) => wrong.push(format!("{test}: {error}")),
        }
    }
    let of = |family: &str| counted.get(family).copied().unwrap_or_default();
    let names: Vec<&str> = FAMILIES.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    let rows = [
        ("C", "config.json"),
        ("CL", "command line and state"),
        ("T", "layers"),
        ("M", "manifests and registries"),
    ]
    .map(|(kind, what)| {
        let own: Vec<&str> = names.iter().copied().filter(|name| kind_of(name) == kind).collect();
        let cases: usize = own.iter().map(|name| of(name)).sum();
        vec![what.to_owned(), own.len().to_string(), cases.to_string()]
    });
    let cases: usize = names.iter().map(|name| of(name)).sum();
    let without: Vec<&str> = names.iter().copied().filter(|name| of(name) == 0).collect();
    if !without.is_empty() {
        wrong.push(format!("Without a case: {}.", without.join(", ")));
    }
    if cases < LEAST {
        wrong.push(format!("{cases} cases are fewer than {LEAST}."));
    }
    Section {
        name: "malformed",
        title: "Malformed input",
        columns: &["of", "families", "cases"],
        figures: format!("{} families, {cases} cases, each refused or taken as its test says.", names.len()),
        rows: rows.to_vec(),
        notes: Vec::new(),
        wrong,
    }
}

fn kind_of(family: &str) -> &str {
    family.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

/// The names of families that stand as texts in a source, outside of comments.
fn marks(source: &str) -> impl Iterator<Item = &str> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"')).filter(|text| {
        let kind = kind_of(text);
        matches!(kind, "C" | "CL" | "T" | "M") && kind.len() < text.len()
    })
}
