# What the scripts for tests/vm-systemd.sh check with; read by them, not run. The first check that fails ends them.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}
equal() { # equal WHAT FOUND EXPECTED
    [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"
    echo "ok: $1"
}
refused() { # refused WHAT WORDS COMMAND...: it fails with one line that has these words
    what=$1 words=$2
    shift 2
    # Not by a pipe, which a container that is made after all would hold.
    if "$@" </dev/null >"$work/said" 2>&1; then fail "$what: it was not refused"; fi
    # In the log line of a runtime quotes are escaped.
    said=$(sed 's/\\"/"/g' "$work/said")
    case $said in
    *"$words"*) echo "ok: $what" ;;
    *) fail "$what: it says: $said" ;;
    esac
}
bundle() { # bundle DIRECTORY FILTER SPEC-ARGUMENT...: one that waits, with a change of its configuration; we go there
    directory=$1 filter=$2
    shift 2
    mkdir -p "$directory/rootfs/bin" "$directory/rootfs/proc"
    cp /bin/busybox "$directory/rootfs/bin/"
    for applet in sh sleep cat ls id; do ln -sf busybox "$directory/rootfs/bin/$applet"; done
    cd "$directory"
    rm -f config.json
    "$runtime" spec "$@"
    jq ".process.terminal = false | .process.args = [\"sleep\", \"1000\"] | $filter" config.json >new
    mv new config.json
}
launched() { # launched COMMAND...: a container is made by it, which has no terminal to hold; otherwise what it says
    "$@" </dev/null >"$work/said" 2>&1 || fail "$*: $(cat "$work/said")"
}
