//! Every command and option, in one table.

use super::arguments::{Count, Flag, Takes, Verb};

const fn on(names: &'static [&'static str], help: &'static str) -> Flag {
    Flag { names, takes: Takes::Nothing, help }
}

const fn with(names: &'static [&'static str], value: &'static str, help: &'static str) -> Flag {
    Flag { names, takes: Takes::Value(value), help }
}

/// Options before the command.
pub const GLOBAL: &[Flag] = &[
    on(&["debug"], "log everything"),
    with(&["log"], "PATH", "where errors and warnings go: a file, file:PATH, journald:ID or syslog:ID"),
    with(&["log-format"], "FORMAT", "text or json"),
    with(&["log-level"], "LEVEL", "error, warning or debug"),
    on(&["systemd-log"], "log to systemd's journal"),
    with(&["root"], "DIR", "where the state of containers is"),
    on(&["systemd-cgroup"], "cgroups are made by systemd"),
    with(&["cgroup-manager"], "MANAGER", "cgroupfs, systemd or disabled"),
    with(&["rootless"], "BOOL", "true, false or auto"),
    with(&["criu"], "PATH", ""),
    on(&["version", "v", "V"], "print the version"),
];

const BUNDLE: Flag = with(&["bundle", "b"], "DIR", "the bundle, by default the working directory");
const CONSOLE: Flag = with(&["console-socket"], "PATH", "a socket that gets the terminal");
const PIDFD: Flag = with(&["pidfd-socket"], "PATH", "a socket that gets the pidfd of the process");
const PID_FILE: Flag = with(&["pid-file"], "PATH", "a file that gets the process id");
const PRESERVE: Flag = with(&["preserve-fds"], "N", "so many further descriptors pass into the container");
const DETACH: Flag = on(&["detach", "d"], "return when the process runs");
const NO_SUBREAPER: Flag = on(&["no-subreaper"], "do not reap orphans of the container");
const NO_PIVOT: Flag = on(&["no-pivot"], "move the root instead of pivot_root(2), for a root in a ramdisk");
const NO_KEYRING: Flag = on(&["no-new-keyring"], "keep the session keyring of the caller");
const CONFIG: Flag = with(&["config", "f"], "FILE", "read this file instead of config.json");
const REGEX: Flag = on(&["regex", "r"], "ID is a regular expression");

const CREATE: &[Flag] =
    &[BUNDLE, CONFIG, CONSOLE, PIDFD, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE, NO_SUBREAPER];
const RUN: &[Flag] = &[
    BUNDLE,
    CONFIG,
    CONSOLE,
    PIDFD,
    PID_FILE,
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE,
    NO_SUBREAPER,
    DETACH,
    on(&["keep"], "keep state and cgroup after the end"),
];
const EXEC: &[Flag] = &[
    CONSOLE,
    PIDFD,
    PID_FILE,
    PRESERVE,
    DETACH,
    with(&["cwd"], "PATH", "the working directory"),
    with(&["env", "e"], "NAME=VALUE", "a variable, many times"),
    on(&["tty", "t"], "give it a terminal"),
    with(&["user", "u"], "UID[:GID]", "the user"),
    with(&["additional-gids", "g"], "GID", "a further group, many times"),
    with(&["process", "p"], "FILE", "a file with the whole process"),
    with(&["process-label"], "LABEL", "an SELinux label"),
    with(&["apparmor"], "PROFILE", "an AppArmor profile"),
    on(&["no-new-privs"], "no execve gives it more privilege"),
    with(&["cap", "c"], "CAP", "a further capability, many times"),
    with(&["cgroup"], "[CONTROLLER:]PATH", "a cgroup beneath the container's"),
    on(&["ignore-paused"], "also in a container that is paused"),
];
const UPDATE: &[Flag] = &[
    with(&["resources", "r"], "FILE", "a file with resources in JSON, - for standard input"),
    with(&["blkio-weight"], "N", "weight of block I/O, 10 to 1000"),
    with(&["cpu-period"], "USEC", "length of a period of processor time"),
    with(&["cpu-quota"], "USEC", "processor time in a period"),
    with(&["cpu-burst"], "USEC", "processor time that may be saved up"),
    with(&["cpu-share"], "N", "relative weight of processor time"),
    with(&["cpu-rt-period"], "USEC", "length of a real-time period"),
    with(&["cpu-rt-runtime"], "USEC", "real-time in a period"),
    with(&["cpu-idle"], "0|1", "whether it only runs when nobody else does"),
    with(&["cpuset-cpus"], "LIST", "processors"),
    with(&["cpuset-mems"], "LIST", "memory nodes"),
    with(&["memory"], "BYTES", "memory limit"),
    with(&["memory-reservation"], "BYTES", "memory that is reclaimed last"),
    with(&["memory-swap"], "BYTES", "memory and swap together"),
    with(&["kernel-memory"], "BYTES", ""),
    with(&["kernel-memory-tcp"], "BYTES", ""),
    with(&["pids-limit"], "N", "number of tasks"),
    with(&["l3-cache-schema"], "SCHEMA", "Intel RDT: cache"),
    with(&["mem-bw-schema"], "SCHEMA", "Intel RDT: memory bandwidth"),
];
const IMAGE: Flag = with(&["image-path"], "DIR", "where the image is");
const WORK: Flag = with(&["work-path"], "DIR", "where CRIU works and logs");
const TCP: Flag = on(&["tcp-established"], "open TCP connections too");
const UNIX: Flag = on(&["ext-unix-sk"], "unix sockets that lead outside too");
const SHELL: Flag = on(&["shell-job"], "jobs of a shell too");
const LAZY: Flag = on(&["lazy-pages"], "pages are moved later");
const LOCKS: Flag = on(&["file-locks"], "file locks too");
const CGROUPS: Flag = with(&["manage-cgroups-mode"], "MODE", "soft, full, strict or ignore");
const EMPTY: Flag = with(&["empty-ns"], "NAMESPACE", "a namespace that is made empty: network");
const DEDUP: Flag = on(&["auto-dedup"], "drop what is in a later image");
const NETWORK_LOCK: Flag = with(&["network-lock"], "HOW", "iptables, nftables or skip");
const CHECKPOINT: &[Flag] = &[
    IMAGE,
    WORK,
    with(&["parent-path"], "DIR", "the image of an earlier pre-dump, from the image"),
    on(&["leave-running"], "the container runs on"),
    TCP,
    on(&["tcp-skip-in-flight"], "without connections that are being made"),
    UNIX,
    SHELL,
    on(&["link-remap"], "files that were removed too"),
    LAZY,
    with(&["status-fd"], "N", "a descriptor that hears when the pages can be fetched"),
    with(&["page-server"], "ADDRESS:PORT", "where pages go"),
    LOCKS,
    on(&["pre-dump"], "memory only, the container runs on"),
    CGROUPS,
    EMPTY,
    DEDUP,
    NETWORK_LOCK,
];
const RESTORE: &[Flag] = &[
    BUNDLE,
    IMAGE,
    WORK,
    with(&["parent-path"], "DIR", ""),
    CONSOLE,
    PID_FILE,
    TCP,
    on(&["tcp-close"], "close TCP connections"),
    UNIX,
    SHELL,
    LOCKS,
    LAZY,
    CGROUPS,
    DETACH,
    NO_SUBREAPER,
    NO_PIVOT,
    EMPTY,
    DEDUP,
    NETWORK_LOCK,
    with(&["lsm-profile"], "KIND:LABEL", "an AppArmor profile or an SELinux label"),
    with(&["lsm-mount-context"], "CONTEXT", "an SELinux context of mounts"),
];

const fn verb(
    name: &'static str,
    arguments: &'static str,
    count: Count,
    flags: &'static [Flag],
    help: &'static str,
) -> Verb {
    Verb { name, arguments, count, flags, help, passes_on: false }
}

const FORMAT: Flag = with(&["format", "f"], "FORMAT", "table or json");

/// The commands.
pub const VERBS: &[Verb] = &[
    verb("create", "ID", Count::Exactly(1), CREATE, "make a container that waits for its start"),
    verb("start", "ID", Count::Exactly(1), &[], "start the command of a container"),
    verb("run", "ID", Count::Exactly(1), RUN, "create and start a container"),
    verb("state", "ID", Count::Exactly(1), &[], "print the state of a container"),
    verb(
        "kill",
        "ID [SIGNAL]",
        Count::Between(1, 2),
        &[on(&["all", "a"], "all processes of the container"), REGEX],
        "send a signal to a container, TERM by default",
    ),
    verb(
        "delete",
        "ID",
        Count::Exactly(1),
        &[on(&["force", "f"], "also one that runs"), REGEX],
        "remove a container",
    ),
    Verb {
        passes_on: true,
        ..verb(
            "exec",
            "ID COMMAND [ARGUMENT...]",
            Count::AtLeast(2),
            EXEC,
            "execute a process in a container",
        )
    },
    verb("list", "", Count::Exactly(0), &[FORMAT, on(&["quiet", "q"], "ids only")], "print the containers"),
    Verb {
        passes_on: true,
        ..verb("ps", "ID [PS-OPTION...]", Count::AtLeast(1), &[FORMAT], "print the processes of a container")
    },
    verb("pause", "ID", Count::Exactly(1), &[], "stop all processes of a container"),
    verb("resume", "ID", Count::Exactly(1), &[], "let the processes of a container go on"),
    verb("update", "ID", Count::Exactly(1), UPDATE, "change the limits of a container"),
    verb(
        "events",
        "ID",
        Count::Exactly(1),
        &[
            with(&["interval"], "DURATION", "how often statistics are printed, 5s by default"),
            on(&["stats"], "print statistics once"),
            with(&["memory-pressure"], "LEVEL", "tell when memory gets scarce: low, medium or critical"),
        ],
        "print what happens in a container",
    ),
    verb("checkpoint", "ID", Count::Exactly(1), CHECKPOINT, "write a container to an image"),
    verb("restore", "ID", Count::Exactly(1), RESTORE, "make a container from an image"),
    verb(
        "mounts",
        "add|remove ID FILE",
        Count::Exactly(3),
        &[],
        "add or remove mounts of a container that runs",
    ),
    verb(
        "spec",
        "",
        Count::Exactly(0),
        &[BUNDLE, on(&["rootless"], "for an ordinary user"), with(&["file", "f"], "FILE", "write this file")],
        "write an example of a config.json",
    ),
    verb("features", "", Count::Exactly(0), &[], "print what this runtime can do"),
    verb("info", "", Count::Exactly(0), &[], "print what this machine has"),
    verb("completion", "SHELL", Count::Exactly(1), &[], "print completion for bash, zsh or fish"),
    verb("man", "DIR", Count::Exactly(1), &[], "write the man pages"),
];
