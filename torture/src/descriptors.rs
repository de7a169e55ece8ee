//! Descriptors of whoever starts a container: none but the standard ones and those asked for may be open in it.

use crate::arguments::Arguments;
use crate::canary::Canary;
use crate::processors;
use crate::replay::tried;
use crate::report::Section;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use testkit::bundle::ROOT;
use testkit::{Host, Oci, Running, Snapshot};

/// How often each command is called: by `--quick`, and otherwise.
const TIMES: (u32, u32) = (40, 1000);

/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(3600);

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
    said=$(COMMAND 2>&1 </dev/null | tr '\n' ' ')
    [ "$said" = "0 1 2 3 " ] || { echo "turn $turn: $said"; exit 1; }
done
"#;

/// A way in which a container gets a command.
struct Way {
    what: &'static str,
    program: &'static str,
    /// What is done before, and after, by the host's user; `BUNDLE` is a bundle that lists its descriptors, `HOOKED` one whose hooks look at
    /// their own too, `WAITS` one that does not end.
    before: &'static str,
    command: &'static str,
    after: &'static str,
}

const NOTHING: &str = ":";

const WAYS: &[Way] = &[
    Way {
        what: "run",
        program: "devoxx-runtime",
        before: NOTHING,
        command: r#""$C" --root ROOT run --bundle BUNDLE turn-$turn"#,
        after: NOTHING,
    },
    Way {
        what: "run, with hooks",
        program: "devoxx-runtime",
        before: NOTHING,
        command: r#""$C" --root ROOT run --bundle HOOKED turn-$turn"#,
        after: NOTHING,
    },
    // What create writes to would be held by the container.
    Way {
        what: "create and start",
        program: "devoxx-runtime",
        before: NOTHING,
        command: r#"R="$C --root ROOT"; $R create --bundle BUNDLE turn-$turn >/tmp/said && $R start turn-$turn
            while $R state turn-$turn | grep -q '"running"'; do :; done; $R delete turn-$turn; cat /tmp/said"#,
        after: NOTHING,
    },
    Way {
        what: "exec",
        program: "devoxx-runtime",
        before: r#"R="$C --root ROOT"; $R create --bundle WAITS waits </dev/null >/dev/null 2>&1 && $R start waits"#,
        command: r#""$C" --root ROOT exec waits ls /proc/self/fd"#,
        after: r#""$C" --root ROOT delete --force waits"#,
    },
    Way {
        what: "run",
        program: "devoxx-container",
        before: NOTHING,
        command: r#""$C" run --rm --net none --rootfs /tmp/tree ls /proc/self/fd"#,
        after: NOTHING,
    },
    Way {
        what: "exec",
        program: "devoxx-container",
        before: r#""$C" run -d --name waits --net none --rootfs /tmp/tree sleep 1000 >/dev/null"#,
        command: r#""$C" exec waits ls /proc/self/fd"#,
        after: r#""$C" rm -f waits >/dev/null"#,
    },
];

/// All that there are (config.md, "POSIX-platform Hooks"): some run on the host, some inside.
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

impl Way {
    fn host(&self, arguments: &Arguments, rootless: bool) -> Host {
        let program = arguments.programs.join(self.program);
        if rootless { Host::rootless(&program) } else { Host::root(&program) }
    }

    /// All starts, and that nothing of them is left.
    fn many(&self, host: Host, times: u32) {
        let oci = Oci::new(host);
        let canary = Canary::place(&oci.host);
        let user = oci.host.user();
        oci.host.admin(&format!(
            "cp -a /tmp/fixtures/rootfs/busybox /tmp/tree; chown -hR {user}:{user} /tmp/tree"
        ));
        let lists = oci.bundle(|config| config["process"]["args"] = json!(["ls", "/proc/self/fd"]));
        let waits = oci.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"]));
        let hooked = oci.bundle(|config| {
            config["process"]["args"] = json!(["ls", "/proc/self/fd"]);
            for kind in HOOKS {
                // Where one fails nothing runs, or that is said.
                let look = format!("cat >/dev/null; test \"$(echo $(ls /proc/self/fd))\" = '0 1 2 3' || {{ echo {kind} >&2; exit 1; }}");
                config["hooks"][kind] = json!([{"path": "/bin/sh", "args": ["sh", "-c", look], "env": ["PATH=/usr/bin:/bin"]}]);
            }
        });
        let filled = |text: &str| {
            let bundles = [("BUNDLE", &lists), ("HOOKED", &hooked), ("WAITS", &waits)];
            let text = text.replace("ROOT", ROOT);
            bundles.iter().fold(text, |text, (word, bundle)| text.replace(word, &bundle.directory))
        };
        let run = |script: &str| Running::start(&mut oci.host.bash(script)).wait_within(LIMIT);
        // What a program keeps of itself comes with the first.
        run(&filled(&format!("{}\nturn=0; {}\n{}", self.before, self.command, self.after))).ok();
        // An event log of many commands has another one beside it.
        oci.host.admin("test ! -e $DEVOXX_ROOT/events || touch $DEVOXX_ROOT/events/log.1");
        let before = Snapshot::take(&oci.host);
        run(&filled(self.before)).ok();
        let script = SCRIPT.replace("TIMES", &times.to_string()).replace("COMMAND", &filled(self.command));
        let outcome = run(&script);
        run(&filled(self.after)).ok();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome}");
        before.assert_same(&oci.host, "all starts");
        let changed = canary.changes(&oci.host);
        assert!(changed.is_empty(), "the host has changed: {changed:?}");
    }
}

/// Each way, as root and as an ordinary user, as often as is said.
pub fn part(arguments: &Arguments) -> Section {
    let times = if arguments.quick { TIMES.0 } else { TIMES.1 };
    let jobs: Vec<(usize, &Way, bool)> = [false, true]
        .iter()
        .flat_map(|rootless| WAYS.iter().map(move |way| (way, *rootless)))
        .enumerate()
        .map(|(at, (way, rootless))| (at, way, rootless))
        .collect();
    let done: Mutex<Vec<(usize, Option<String>)>> = Mutex::default();
    processors::share(&jobs, |(at, way, rootless)| {
        let wrong = tried(|| way.many(way.host(arguments, *rootless), times));
        done.lock().unwrap_or_else(PoisonError::into_inner).push((*at, wrong));
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    let (mut rows, mut all_wrong) = (Vec::new(), Vec::new());
    for ((_, way, rootless), (_, wrong)) in jobs.iter().zip(done) {
        let who = if *rootless { "a user" } else { "root" };
        let command = format!("{} {}", way.program, way.what);
        all_wrong.extend(wrong.iter().map(|words| format!("{command} of {who}: {words}")));
        let open = wrong.unwrap_or_else(|| "0, 1, 2".to_owned());
        rows.push(vec![command, who.to_owned(), times.to_string(), open]);
    }
    Section {
        name: "descriptors",
        title: "Descriptors of a container, started with 50 others open",
        columns: &["command", "of", "times", "open in the container"],
        figures: format!(
            "{} containers and commands in them have 0, 1 and 2 open, and nothing else.",
            rows.len() * times as usize
        ),
        rows,
        notes: Vec::new(),
        wrong: all_wrong,
    }
}
