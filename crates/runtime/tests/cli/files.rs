//! What is written: a config.json to begin with, man pages.

use crate::{call, directory};
use std::os::unix::fs::symlink;

/// The members in the order of the specification, tabs, one line break at the end: as its readers know it from runc.
#[test]
fn a_config_json() {
    let directory = directory();
    let at = directory.path();
    call(at, ["spec"]).ok().prints("");
    let text = std::fs::read_to_string(at.join("config.json")).expect("a config.json");
    let own = |line: &&str| line.starts_with("\t\"");
    let names: Vec<_> = text.lines().filter(own).filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(names, ["ociVersion", "process", "root", "hostname", "mounts", "linux"]);
    let start = "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n\t\t\"user\": {\n\t\t\t\"uid\": 0,\n\t\t\t\"gid\": 0\n\t\t},\n\t\t\"args\": [\n\t\t\t\"sh\"\n\t\t],\n";
    assert!(text.starts_with(start) && text.ends_with("\n\t}\n}\n"), "{text}");
    assert!(!text.contains("null"), "{text}");

    call(at, ["spec"]).refused(&["File config.json exists. Remove it first"]);
    call(at, ["spec", "--rootless", "--bundle", "."]).refused(&["File config.json exists. Remove it first"]);
    assert_eq!(std::fs::read_to_string(at.join("config.json")).expect("as it was"), text);
    // A file that was named is one that was meant.
    call(at, ["spec", "--rootless", "--file", "config.json"]).ok();
    let rootless = std::fs::read_to_string(at.join("config.json")).expect("another one");
    assert!(rootless.contains("uidMappings") && !rootless.contains("null"), "{rootless}");
    assert!(!rootless.contains("\"network\"") && !rootless.contains("gid=5"), "{rootless}");
}

/// Not through a link that somebody laid in the bundle, where it leads or where it does not.
#[test]
fn no_config_json_through_a_link() {
    let directory = directory();
    let at = directory.path();
    symlink("elsewhere", at.join("config.json")).expect("symlink");
    call(at, ["spec"]).refused(&["exists"]);
    assert!(!at.join("elsewhere").exists());
    call(at, ["spec", "--bundle", "missing"]).refused(&["no such file or directory"]);
}

#[test]
fn man_pages() {
    let directory = directory();
    let at = directory.path();
    call(at, ["man", "."]).ok().prints("");
    let page =
        |name: &str| std::fs::read_to_string(at.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let program = page("devoxx-runtime.8");
    assert!(program.starts_with(".TH DEVOXX\\-RUNTIME 8 "), "{program}");
    let help = call(at, ["--help"]).ok().stdout;
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for name in commands.filter_map(|line| line.split_whitespace().next()) {
        assert!(program.contains(&format!("devoxx\\-runtime\\-{name}\\fR(8)")), "{name}");
        assert!(page(&format!("devoxx-runtime-{name}.8")).contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(page("devoxx-runtime-exec.8").contains("\\fB\\-\\-user\\fR, \\fB\\-u\\fR \\fIUID[:GID]\\fR"));
    call(at, ["man", "missing"]).refused(&["no such file or directory"]);
}

/// In the order of the specification too, and indented by four spaces.
#[test]
fn features_for_readers() {
    let text = call(directory().path(), ["features"]).ok().stdout;
    let own = |line: &&str| line.starts_with("    \"");
    let names: Vec<_> = text.lines().filter(own).filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(
        names,
        [
            "ociVersionMin",
            "ociVersionMax",
            "hooks",
            "mountOptions",
            "linux",
            "annotations",
            "potentiallyUnsafeConfigAnnotations"
        ]
    );
    serde_json::from_str::<oci_spec::runtime::Features>(&text).expect("features of the specification");
}
