//! The rules of the project, as tests. Each message says what to do; CONTRIBUTING.md and ARCHITECTURE.md say why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which crate may use which. `testkit` may be used by the tests of any.
const EDGES: &[(&str, &[&str])] = &[
    ("cli", &["engine", "sys"]),
    ("engine", &["image", "network", "supervisor", "runtime", "cgroup", "seccomp", "sys"]),
    ("supervisor", &["runtime", "cgroup", "sys"]),
    ("shim", &["runtime", "cgroup", "sys"]),
    ("runtime", &["cgroup", "seccomp", "sys"]),
    ("cgroup", &["sys"]),
    ("image", &["sys"]),
    ("network", &["sys"]),
    ("seccomp", &[]),
    ("sys", &[]),
    ("testkit", &[]),
];

/// Whoever calls the runtime has one thread, and asks no server for anything.
const NOT_IN_RUNTIME: &[&str] =
    &["tokio", "async-std", "smol", "rustls", "ureq", "hyper", "reqwest", "openssl", "native-tls"];

const LONGEST_FILE: usize = 900;
const LONGEST_ARCHITECTURE: usize = 300;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/testkit is two deep").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// The directories in crates/ that are crates.
fn crates() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("crates"))
        .expect("read crates/")
        .map(|entry| entry.expect("read crates/").path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().expect("a crate has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The files that are part of the project: those that git has, and new ones that it does not ignore.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let names: Vec<PathBuf> = match listed {
        Ok(listed) if listed.status.success() => {
            String::from_utf8_lossy(&listed.stdout).split_terminator('\0').map(PathBuf::from).collect()
        }
        // An unpacked archive: all but what is built.
        _ => walk(&root()),
    };
    names.into_iter().map(|name| root().join(name)).filter(|path| path.is_file()).collect()
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let built = ["target", "bin", ".git"].iter().any(|name| path == root().join(name));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !built => found.extend(walk(&path)),
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found
}

/// The crates of this workspace that a manifest names, and whether its tests alone use them.
fn dependencies(manifest: &str) -> BTreeSet<(String, bool)> {
    let known: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let ours = |name: &str| {
        let name = name.trim().trim_matches('"');
        let name = name.strip_prefix("devoxx-").unwrap_or(name);
        known.contains(&name).then(|| name.to_owned())
    };
    let mut found = BTreeSet::new();
    let mut section: Option<bool> = None;
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            // [dependencies], [target.'cfg(x)'.dependencies], and [dependencies.sys] as a header of its own.
            let (table, name) = match header.rsplit_once('.') {
                Some((table, name)) if table.ends_with("dependencies") => (table, Some(name)),
                _ => (header, None),
            };
            section = table.ends_with("dependencies").then(|| table.ends_with("dev-dependencies"));
            if let (Some(tests), Some(name)) = (section, name.and_then(ours)) {
                found.insert((name, tests));
            }
        } else if let (Some(tests), Some((key, value))) = (section, line.split_once('=')) {
            let key = key.split('.').next().unwrap_or_default();
            found.extend(ours(key).map(|name| (name, tests)));
            // Under another name: { package = "devoxx-sys" } or { path = "../sys" }.
            for text in value.split('"').skip(1).step_by(2) {
                let text = text.strip_prefix("../").or_else(|| text.strip_prefix("devoxx-"));
                found.extend(text.and_then(ours).map(|name| (name, tests)));
            }
        }
    }
    found
}

#[test]
fn manifests_are_read() {
    fn check(manifest: &str, expected: &[(&str, bool)]) {
        let expected = expected.iter().map(|(name, tests)| ((*name).to_owned(), *tests)).collect();
        assert_eq!(dependencies(manifest), expected, "{manifest}");
    }
    check("[package]\nname = \"sys\"\n", &[]);
    check("[dependencies]\nsys.workspace = true # why\n# image.workspace = true", &[("sys", false)]);
    check(
        "[dependencies]\nserde = \"1\"\n[dev-dependencies]\ntestkit.workspace = true",
        &[("testkit", true)],
    );
    check("[dependencies]\nkernel = { package = \"devoxx-sys\", path = \"../sys\" }", &[("sys", false)]);
    check("[dependencies.image]\nworkspace = true", &[("image", false)]);
    check(
        "[target.'cfg(unix)'.dependencies]\ndevoxx-cgroup = { path = \"../cgroup\" }",
        &[("cgroup", false)],
    );
    check("[dependencies]\nsys.workspace = true\n[lints]\nworkspace = true", &[("sys", false)]);
}

#[test]
fn crates_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for name in crates() {
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("crates/{name} is not in EDGES of this test: say what it may use"));
            continue;
        };
        for (used, tests) in dependencies(&read(&root().join("crates").join(&name).join("Cargo.toml"))) {
            let may = allowed.contains(&used.as_str()) || (tests && (used == "testkit" || used == name));
            if !may {
                wrong.push(format!(
                    "crates/{name} uses {used}: it may use {allowed:?}, and testkit in its tests"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_runtime_has_one_thread_and_no_network() {
    let listed = Command::new(env!("CARGO"))
        .args(["tree", "-p", "devoxx-runtime", "-e", "normal", "--prefix", "none", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo tree");
    let shown = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success(), "cargo tree: {}", String::from_utf8_lossy(&listed.stderr));
    assert!(shown.contains("devoxx-sys"), "cargo tree shows no tree: {shown}");
    let wrong: BTreeSet<&str> = shown
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| NOT_IN_RUNTIME.contains(name))
        .collect();
    assert!(
        wrong.is_empty(),
        "devoxx-runtime depends on {wrong:?}: see `cargo tree -p devoxx-runtime -i NAME`"
    );
}

/// The code of a source: comments, strings and characters are blanked, lines are kept.
fn code(source: &str) -> String {
    let letters: Vec<char> = source.chars().collect();
    let mut kept = String::with_capacity(source.len());
    let mut at = 0;
    let starts =
        |at: usize, text: &str| text.chars().enumerate().all(|(n, c)| letters.get(at + n) == Some(&c));
    while at < letters.len() {
        let end = if starts(at, "//") {
            (at..letters.len()).find(|&n| letters[n] == '\n').unwrap_or(letters.len())
        } else if starts(at, "/*") {
            let mut depth = 0;
            let mut n = at;
            while n < letters.len() {
                (depth, n) = match (starts(n, "/*"), starts(n, "*/")) {
                    (true, _) => (depth + 1, n + 2),
                    (_, true) => (depth - 1, n + 2),
                    _ => (depth, n + 1),
                };
                if depth == 0 {
                    break;
                }
            }
            n.min(letters.len())
        } else if letters[at] == 'r'
            && !at.checked_sub(1).is_some_and(|n| word(letters[n]) && letters[n] != 'b')
        {
            let hashes = letters[at + 1..].iter().take_while(|c| **c == '#').count();
            if letters.get(at + 1 + hashes) == Some(&'"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let body = at + 2 + hashes;
                (body..letters.len()).find(|&n| starts(n, &close)).map_or(letters.len(), |n| n + 1 + hashes)
            } else {
                at
            }
        } else if letters[at] == '"' {
            let mut n = at + 1;
            while n < letters.len() && letters[n] != '"' {
                n += if letters[n] == '\\' { 2 } else { 1 };
            }
            (n + 1).min(letters.len())
        } else if letters[at] == '\'' && letters.get(at + 1) == Some(&'\\') {
            (at + 3..letters.len()).find(|&n| letters[n] == '\'').map_or(letters.len(), |n| n + 1)
        } else if letters[at] == '\'' && letters.get(at + 2) == Some(&'\'') {
            at + 3
        } else {
            at
        };
        if end == at {
            kept.push(letters[at]);
            at += 1;
        } else {
            kept.extend(letters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    kept
}

fn word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The lines on which a word stands in the code.
fn lines_with(source: &str, wanted: &str) -> Vec<usize> {
    let code = code(source);
    let numbered = code.lines().enumerate();
    numbered
        .filter(|(_, line)| line.split(|c: char| !word(c)).any(|one| one == wanted))
        .map(|(number, _)| number + 1)
        .collect()
}

#[test]
fn words_are_found_in_code_alone() {
    fn check(source: &str, lines: &[usize]) {
        assert_eq!(lines_with(source, "unsafe"), lines, "{source}");
    }
    check("unsafe { x() }", &[1]);
    check("fn a() {}\npub unsafe fn b() {}", &[2]);
    check("#![forbid(unsafe_code)]", &[]);
    check("// unsafe\n/* unsafe /* unsafe */ unsafe */ unsafe", &[2]);
    check("let a = \"unsafe \\\" unsafe\"; unsafe {}", &[1]);
    check("let a = \"unsafe \\\" unsafe\";", &[]);
    check("let a = r#\"unsafe \" unsafe\"#;\nunsafe {}", &[2]);
    check("let a = '\"'; unsafe {} // \"", &[1]);
    check("let a = ('\\'', '\\\\', b'\\n'); let b: &'static str = \"unsafe\";", &[]);
    check("let a = br\"\\\"; unsafe {}", &[1]);
}

#[test]
fn unsafe_is_in_sys_alone() {
    let sys = root().join("crates/sys");
    let mut wrong = Vec::new();
    for path in files() {
        let rust = path.extension().is_some_and(|extension| extension == "rs");
        if rust && !path.starts_with(&sys) {
            let lines = lines_with(&read(&path), "unsafe");
            wrong.extend(lines.iter().map(|line| format!("{}:{line}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "unsafe outside crates/sys; put the call there:\n{}", wrong.join("\n"));
}

#[test]
fn the_architecture_names_every_crate() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let lines = text.lines().count();
    assert!(
        lines < LONGEST_ARCHITECTURE,
        "ARCHITECTURE.md has {lines} lines: keep it below {LONGEST_ARCHITECTURE}"
    );
    // Many of the names are plain words as well: it must be written as a name, or begin a line of a list.
    let named = |name: &str| {
        [format!("`{name}`"), format!("**{name}**"), format!("crates/{name}"), format!("devoxx-{name}")]
            .iter()
            .any(|written| text.contains(written))
            || text.lines().any(|line| line.split_whitespace().next() == Some(name))
    };
    let lacking: Vec<String> = crates().into_iter().filter(|name| !named(name)).collect();
    assert!(lacking.is_empty(), "ARCHITECTURE.md says nothing about {lacking:?}");
}

/// What is wrong with a changelog: <https://keepachangelog.com/en/1.1.0/>, with security first.
fn changelog(text: &str) -> Vec<String> {
    const GROUPS: [&str; 6] = ["Security", "Added", "Changed", "Deprecated", "Removed", "Fixed"];
    let mut wrong = Vec::new();
    if !text.starts_with("# Changelog\n") {
        wrong.push("line 1: begins with `# Changelog`".to_owned());
    }
    let mut versions = 0;
    let mut groups: Vec<&str> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let mut say = |what: &str| wrong.push(format!("line {number}: {what}: {line:?}"));
        if let Some(version) = line.strip_prefix("## ") {
            let dated = version.strip_prefix('[').and_then(|rest| rest.split_once("] - ")).is_some_and(
                |(v, date)| {
                    let number =
                        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                    let date: Vec<&str> = date.split('-').collect();
                    v.split('.').count() == 3
                        && v.split('.').all(number)
                        && date.iter().map(|part| part.len()).eq([4, 2, 2])
                        && date.into_iter().all(number)
                },
            );
            match versions {
                0 if version != "[Unreleased]" => say("the first version is `## [Unreleased]`"),
                1.. if !dated => say("a version is `## [1.2.3] - 2026-01-31`"),
                _ => {}
            }
            versions += 1;
            groups.clear();
        } else if let Some(group) = line.strip_prefix("### ") {
            match GROUPS.contains(&group) {
                _ if versions == 0 => say("a group stands under a version"),
                false => say(&format!("a group is one of {GROUPS:?}")),
                true if groups.contains(&group) => say("a group stands once in a version"),
                true if group == "Security" && !groups.is_empty() => say("security comes first"),
                true => groups.push(group),
            }
        } else if versions > 0 && !line.is_empty() {
            let entry = line.starts_with("- ") || line.starts_with("  ") || line.starts_with('[');
            if !entry || (groups.is_empty() && !line.starts_with('[')) {
                say("an entry is `- ` under a group");
            }
        }
    }
    if versions == 0 {
        wrong.push("no `## [Unreleased]`".to_owned());
    }
    wrong
}

#[test]
fn the_changelog_has_its_form() {
    fn check(text: &str, sound: bool) {
        let wrong = changelog(text);
        assert_eq!(wrong.is_empty(), sound, "{text}\n{wrong:?}");
    }
    check("# Changelog\n\nText.\n\n## [Unreleased]\n", true);
    check("# Changelog\n## [Unreleased]\n### Security\n- a\n  more\n### Added\n- b\n", true);
    check(
        "# Changelog\n## [Unreleased]\n## [1.0.0] - 2026-02-03\n### Fixed\n- a\n\n[1.0.0]: https://x\n",
        true,
    );
    check("## [Unreleased]\n", false);
    check("# Changelog\n", false);
    check("# Changelog\n## [1.0.0] - 2026-02-03\n", false);
    check("# Changelog\n## [Unreleased]\n## 1.0.0\n", false);
    check("# Changelog\n## [Unreleased]\n## [1.0] - 2026-02-03\n", false);
    check("# Changelog\n## [Unreleased]\n### News\n", false);
    check("# Changelog\n## [Unreleased]\n### Added\n- a\n### Security\n- b\n", false);
    check("# Changelog\n## [Unreleased]\n- a\n", false);
    check("# Changelog\n## [Unreleased]\n### Added\n* a\n", false);
    let wrong = changelog(&read(&root().join("CHANGELOG.md")));
    assert!(wrong.is_empty(), "CHANGELOG.md:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_one_idea_long() {
    let mut wrong = Vec::new();
    for path in files() {
        // What cargo writes is as long as it is.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lines = text.lines().count();
        if lines > LONGEST_FILE && !path.ends_with("Cargo.lock") {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "longer than {LONGEST_FILE} lines, so more than one idea:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_file_knows_where_it_was_written() {
    // In two parts, or this file would be the first to be found.
    let place = concat!("/wo", "rk/");
    let mut wrong = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (line, number) in text.lines().zip(1..) {
            // `{dir}/…` and `../…` are other directories of that name; an absolute path has nothing before it.
            let absolute = line.match_indices(place).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !word(c) && !"})]>./-~".contains(c))
            });
            if absolute {
                wrong.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "an absolute path of one machine:\n{}", wrong.join("\n"));
}
