//! Descriptors of whoever starts a container: none but the standard ones and those asked for may be open in it.

use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::replay::tried;
use crate::report::Section;
use serde_json::json;

/// How often each command is called: by `--quick`, and otherwise.
const TIMES: (u32, u32) = (40, 1000);

/// What has 50 descriptors open: directories and files of the host, pipes, a device, some with high numbers. Then the command, again and
/// again; each has to print `0 1 2 3`, where 3 is the directory that is listed.
const SCRIPT: &str = r#"
ulimit -n 4096
for number in $(seq 10 10 160); do
    eval "exec $number</ $((number + 1))</tmp/canary/secret $((number + 2000))</dev/null"
done
exec 3</tmp/canary/dir 4< <(sleep 1000); pipe=$!
trap 'kill $pipe' EXIT
for turn in $(seq TIMES); do
    said=$("$C" --root ROOT COMMAND 2>&1 </dev/null | tr '\n' ' ')
    [ "$said" = "0 1 2 3 " ] || { echo "turn $turn: $said"; exit 1; }
done
"#;

/// `run` and `exec`, each as often as is said.
pub fn part(arguments: &Arguments) -> Section {
    let times = if arguments.quick { TIMES.0 } else { TIMES.1 };
    let mut rows = Vec::new();
    let mut all_wrong = Vec::new();
    for command in ["run", "exec"] {
        let wrong = tried(|| many(&Ground::new(&arguments.programs, None), command, times));
        all_wrong.extend(wrong.iter().map(|words| format!("{command}: {words}")));
        rows.push(vec![command.to_owned(), times.to_string(), wrong.unwrap_or_else(|| "0, 1, 2".to_owned())]);
    }
    Section {
        name: "descriptors",
        title: "Descriptors of a container, started with 50 others open",
        columns: &["command", "times", "open in the container"],
        rows,
        figures: format!(
            "{} containers and commands in them have 0, 1 and 2 open, and nothing else.",
            2 * times
        ),
        notes: Vec::new(),
        wrong: all_wrong,
    }
}

fn many(ground: &Ground, command: &str, times: u32) {
    let bundle = ground.oci.bundle(|config| config["process"]["args"] = json!(["ls", "/proc/self/fd"]));
    let sleeper = (command == "exec").then(|| ground.sleeper());
    let words = match &sleeper {
        Some(sleeper) => format!("exec {} ls /proc/self/fd", sleeper.bundle.id),
        None => format!("run --bundle {} turn-$turn", bundle.directory),
    };
    let script = SCRIPT
        .replace("ROOT", testkit::bundle::ROOT)
        .replace("TIMES", &times.to_string())
        .replace("COMMAND", &words);
    let outcome = testkit::outcome::run(&mut ground.oci.host.bash(&script));
    drop(sleeper);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome}");
    ground.is_intact();
}
