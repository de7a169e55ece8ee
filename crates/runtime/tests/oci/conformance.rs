//! docs/conformance.md, made of the clauses in clauses.txt and of the marks `clause!` in the tests.
//!
//! `DEVOXX_BLESS=1 cargo test -p devoxx-runtime --test oci conformance` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const CLAUSES: &str = include_str!("clauses.txt");

const HEAD: &str = "# Conformance

Clause by clause of the OCI runtime-spec 1.3.0 for Linux, in this project's words: the tests that show it, in
`crates/runtime/tests/oci/`, and as scripts for a virtual machine in `tests/`. This file is made from the marks in them
(`clause!`, `# clause:`) and from `clauses.txt`; a test says when it is old, and
`DEVOXX_BLESS=1 cargo test -p devoxx-runtime --test oci conformance` makes it new.
";

/// One line of clauses.txt.
#[derive(Debug, PartialEq, Eq)]
struct Clause<'a> {
    id: &'a str,
    text: &'a str,
    /// Why no test shows it.
    reason: Option<&'a str>,
}

/// The headings of the list, each with its clauses.
fn clauses(list: &str) -> Vec<(&str, Vec<Clause<'_>>)> {
    let mut sections = Vec::new();
    for line in list.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            sections.push((heading, Vec::new()));
        } else if let (Some((_, clauses)), Some((id, text))) = (sections.last_mut(), line.split_once(": ")) {
            let (text, reason) =
                text.split_once(" -- ").map_or((text, None), |(text, reason)| (text, Some(reason)));
            clauses.push(Clause { id, text, reason });
        }
    }
    sections
}

/// The clauses that a source marks, each with the name of the test around the mark.
fn marks(module: &str, source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut test = String::new();
    let mut inside = false;
    for line in source.lines() {
        let words = line.trim_start();
        // Tests stand at the left; what is declared within one does not name it.
        if let Some(rest) = line.strip_prefix("fn ") {
            test = rest.split('(').next().unwrap_or_default().to_owned();
        }
        inside |= words.starts_with("clause!(");
        if inside {
            let quoted = words.split('"').skip(1).step_by(2);
            found.extend(quoted.map(|id| (id.to_owned(), format!("{module}::{test}"))));
            inside = !words.ends_with(");");
        }
    }
    found
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}")).flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every clause that is marked, with its tests.
fn shown() -> BTreeMap<String, Vec<String>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oci");
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in sources(&top) {
        let module = path.strip_prefix(&top).expect("it is below").with_extension("");
        let module = module.display().to_string().replace('/', "::");
        // This file has marks that are none, to be read by its own test.
        if module == "conformance" || module == "main" {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        for (id, test) in marks(&module, &source) {
            let tests = shown.entry(id).or_default();
            if !tests.contains(&test) {
                tests.push(test);
            }
        }
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let mut scripts: Vec<PathBuf> = fs::read_dir(&scripts)
        .unwrap_or_else(|error| panic!("{scripts:?}: {error}"))
        .map(|entry| entry.expect("readdir").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    scripts.sort();
    for path in scripts {
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let name = path.file_name().expect("a file").display().to_string();
        for id in marks_of_script(&source) {
            shown.entry(id).or_default().push(name.clone());
        }
    }
    shown
}

/// The clauses that a script marks: `# clause: ID ID`.
fn marks_of_script(source: &str) -> Vec<String> {
    let lines = source.lines().filter_map(|line| line.strip_prefix("# clause: "));
    lines.flat_map(str::split_ascii_whitespace).map(str::to_owned).collect()
}

fn rendered(shown: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = HEAD.to_owned();
    for (heading, clauses) in clauses(CLAUSES) {
        write!(text, "\n## {heading}\n\n| clause | asks for | shown by |\n| --- | --- | --- |\n")
            .expect("String");
        for Clause { id, text: asks, reason } in clauses {
            let tests = shown
                .get(id)
                .map(|tests| tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", "));
            let by = tests.unwrap_or_else(|| format!("not shown: {}", reason.unwrap_or("?")));
            writeln!(text, "| {id} | {asks} | {by} |").expect("String");
        }
    }
    text
}

#[test]
fn every_clause_is_shown_or_has_a_reason() {
    let shown = shown();
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for clause in clauses(CLAUSES).into_iter().flat_map(|(_, clauses)| clauses) {
        if known.contains(&clause.id) {
            wrong.push(format!("{} is there twice", clause.id));
        }
        known.push(clause.id);
        match (shown.contains_key(clause.id), clause.reason) {
            (false, None) => wrong.push(format!("{} has no test and no reason", clause.id)),
            (true, Some(_)) => wrong.push(format!("{} has a test and a reason for none", clause.id)),
            _ => {}
        }
    }
    for (id, tests) in &shown {
        if !known.contains(&id.as_str()) {
            wrong.push(format!("{id}, which {tests:?} shows, is not in clauses.txt"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let text = rendered(&shown());
    if std::env::var_os("DEVOXX_BLESS").is_some() {
        fs::write(&path, &text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/conformance.md is old: DEVOXX_BLESS=1 cargo test -p devoxx-runtime --test oci conformance"
    );
}

#[test]
fn marks_and_clauses_are_read() {
    let source = "fn helper() {}\n\nfn test_one() {\n    clause!(\"a.b\", \"c\");\n    fn check() {}\n    clause!(\n        \"d\",\n    );\n}\n";
    let expected = [("a.b", "m::test_one"), ("c", "m::test_one"), ("d", "m::test_one")];
    let found = marks("m", source);
    let found: Vec<_> = found.iter().map(|(id, test)| (id.as_str(), test.as_str())).collect();
    assert_eq!(found, expected);
    let list = "words: of the head\n# one\na: text\nb: text -- why: not\n";
    let a = Clause { id: "a", text: "text", reason: None };
    let b = Clause { id: "b", text: "text", reason: Some("why: not") };
    assert_eq!(clauses(list), [("one", vec![a, b])]);
}
