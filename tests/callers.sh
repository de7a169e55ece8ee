#!/usr/bin/env bash
# The engines of others with our runtime below: `callers.sh RUNTIME [podman|buildah|ctr|docker]`. Each runs a container,
# executes a command in it, stops and removes it. Everything happens in namespaces of this script's own, and ends with them.
set -euo pipefail

runtime=$(realpath "${1:?usage: callers.sh RUNTIME [CALLER...]}")
shift
if [[ ${CALLERS_INSIDE:-} != yes ]]; then
    ((EUID == 0)) || { echo "callers.sh: needs root" >&2; exit 1; }
    export CALLERS_INSIDE=yes
    # Cgroups are the one thing that outlives the namespaces: those that the engines make and do not remove.
    theirs() { find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d \( -name default -o -name docker -o -name 'libpod*' -o -name 'buildah*' \); }
    before=$(theirs)
    tidy() {
        theirs | grep -vxF "$before" | while read -r top; do
            find "$top" -depth -type d -exec rmdir {} + 2>/dev/null || :
        done || :
    }
    trap tidy EXIT
    # The last process of the PID namespace takes all others along, however this ends.
    unshare --mount --net --pid --ipc --fork --kill-child --propagation private "$0" "$runtime" "$@"
    exit
fi

mount -t proc proc /proc
ip link set lo up
work=$(mktemp -d)
# The state of the machine's own engines is out of reach and untouched.
for directory in /run /var/lib/containers /var/lib/docker /var/lib/containerd; do
    mkdir -p "$directory"
    mount -t tmpfs tmpfs "$directory"
done
mkdir -p /run/lock /etc/containers
mount -t tmpfs tmpfs /etc/containers
mount -t tmpfs tmpfs "$work"
trap 'rmdir "$work" 2>/dev/null || :' EXIT

cat >/etc/containers/policy.json <<<'{"default":[{"type":"insecureAcceptAnything"}]}'
cat >/etc/containers/registries.conf <<<'unqualified-search-registries = []'
cat >/etc/containers/containers.conf <<'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
cat >/etc/containers/storage.conf <<'CONF'
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
CONF

# The smallest image.
mkdir -p "$work/root/bin" "$work/root/etc"
cp /bin/busybox "$work/root/bin/"
for applet in sh sleep echo cat id true; do ln -s busybox "$work/root/bin/$applet"; done
tar -C "$work/root" -cf "$work/root.tar" .

fail() {
    echo "callers.sh: $*" >&2
    for log in "$work"/*.log; do
        [[ -e $log ]] && tail -n 20 "$log" >&2
    done
    exit 1
}
says() { # says EXPECTED COMMAND...: what the command prints
    local expected=$1 said
    shift
    said=$("$@" 2>"$work/stderr.log" | tr -d '\r') || fail "$*: exit code $?"
    [[ $said == "$expected" ]] || fail "$*: expected '$expected', got '$said'"
}
until_there() { # until_there FILE: made by a program that starts
    local tries=600
    until [[ -e $1 ]]; do
        ((tries--)) || fail "$1 did not come"
        read -rt 0.1 <> <(:) || :
    done
}

with_podman() {
    local podman=(podman --runtime "$runtime")
    "${podman[@]}" import "$work/root.tar" small >/dev/null 2>"$work/stderr.log" || fail "podman import"
    says hello "${podman[@]}" run --rm small /bin/echo hello
    "${podman[@]}" run -d --name one small /bin/sleep 1000 >/dev/null 2>"$work/stderr.log" || fail "podman run -d"
    says inside "${podman[@]}" exec one /bin/echo inside
    local code=0
    "${podman[@]}" exec one /bin/sh -c 'exit 7' 2>/dev/null || code=$?
    ((code == 7)) || fail "podman exec: exit code $code"
    code=0
    "${podman[@]}" run --rm small /no/such 2>/dev/null || code=$?
    ((code == 127)) || fail "podman run of a missing command: exit code $code"
    "${podman[@]}" pause one >/dev/null || fail "podman pause"
    "${podman[@]}" unpause one >/dev/null || fail "podman unpause"
    "${podman[@]}" stop -t 1 one >/dev/null 2>"$work/stderr.log" || fail "podman stop"
    "${podman[@]}" rm one >/dev/null || fail "podman rm"
    says "" "${podman[@]}" ps -aq
}

with_buildah() {
    local container
    container=$(buildah --storage-driver vfs from scratch)
    buildah add -q "$container" "$work/root.tar" / >/dev/null
    says built buildah run --runtime "$runtime" --isolation oci "$container" /bin/echo built
    local code=0
    buildah run --runtime "$runtime" --isolation oci "$container" /bin/sh -c 'exit 5' 2>/dev/null || code=$?
    ((code == 5)) || fail "buildah run: exit code $code"
    buildah rm "$container" >/dev/null
}

with_ctr() {
    mkdir -p "$work/containerd"
    cat >"$work/containerd.toml" <<CONF
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
CONF
    containerd -c "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
    until_there /run/containerd/containerd.sock
    skopeo copy -q "oci:$work/image:small" "docker-archive:$work/small.tar:small:latest" >/dev/null
    ctr image import "$work/small.tar" >/dev/null 2>"$work/stderr.log" || fail "ctr image import"
    local image=docker.io/library/small:latest
    says hello ctr run --snapshotter native --rm --runc-binary "$runtime" "$image" one /bin/echo hello
    ctr run --snapshotter native -d --runc-binary "$runtime" "$image" two /bin/sleep 1000 ||
        fail "ctr run -d"
    says inside ctr task exec --exec-id e1 two /bin/echo inside
    ctr task pause two && ctr task resume two || fail "ctr task pause"
    ctr task metrics two >/dev/null || fail "ctr task metrics"
    ctr task kill -s SIGKILL two
    ctr task delete two >/dev/null 2>&1 || ctr task delete -f two >/dev/null || fail "ctr task delete"
    ctr container delete two
    says "" ctr task ls -q
}

with_docker() {
    local docker=(docker -H "unix:///run/docker.sock")
    dockerd --host unix:///run/docker.sock --add-runtime "ours=$runtime" --default-runtime ours --iptables=false \
        --ip6tables=false --bridge=none --storage-driver vfs --exec-opt native.cgroupdriver=cgroupfs \
        >"$work/dockerd.log" 2>&1 &
    until_there /run/docker.sock
    "${docker[@]}" import "$work/root.tar" small >/dev/null 2>"$work/stderr.log" || fail "docker import"
    says hello "${docker[@]}" run --rm --network none small /bin/echo hello
    "${docker[@]}" run -d --name one --network none small /bin/sleep 1000 >/dev/null || fail "docker run -d"
    says inside "${docker[@]}" exec one /bin/echo inside
    local code=0
    "${docker[@]}" run --rm --network none small /no/such 2>/dev/null || code=$?
    ((code == 127)) || fail "docker run of a missing command: exit code $code"
    "${docker[@]}" pause one >/dev/null && "${docker[@]}" unpause one >/dev/null || fail "docker pause"
    "${docker[@]}" update --cpu-shares 512 one >/dev/null || fail "docker update"
    "${docker[@]}" stop -t 1 one >/dev/null || fail "docker stop"
    "${docker[@]}" rm one >/dev/null || fail "docker rm"
    says "" "${docker[@]}" ps -aq
}

# An OCI image of the same files, for those that take no plain archive.
umoci init --layout "$work/image" >/dev/null
umoci new --image "$work/image:small" >/dev/null
umoci insert --image "$work/image:small" "$work/root" / >/dev/null

(($#)) || set -- podman buildah ctr docker
for caller in "$@"; do
    "with_$caller"
    echo "callers.sh: $caller: ok"
done
