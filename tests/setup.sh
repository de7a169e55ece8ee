#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. With nothing missing it asks no server and needs no root.
set -euo pipefail

packages=(
    debootstrap        # a real root file system
    busybox-static     # the smallest one
    umoci skopeo       # images out of them
    jq zstd xz-utils curl  # to change them, and to ask a registry
    docker-registry    # to pull from
    apache2-utils      # htpasswd, for a registry with passwords
    ca-certificates    # TLS
    openssl            # keys of a registry and of a realm
    uidmap passt       # rootless
    iproute2 nftables  # to look at networks with other eyes than ours
    procps util-linux  # processes, namespaces
    systemd            # a journal to write to, and to read
    gcc libc6-dev libseccomp-dev  # what libseccomp makes of a profile, to compare with
    golang-github-containers-common  # podman's profile
    runc crun podman buildah containerd docker.io conmon  # peers to compare with, and engines that call our runtime
    strace             # to fail and to stop at chosen system calls
    linux-perf         # where the time of a command is, for the benchmark
    zsh fish           # completion, as these shells load it
    criu               # containers to an image and back, in the virtual machine
)

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "tests/setup.sh: install these, and run again: ${missing[*]}" >&2
    exit 1
fi
sudo=()
((EUID == 0)) || sudo=(sudo)
echo "tests/setup.sh: installing ${missing[*]}"
# A registry that starts as a service is in the way of those that the tests start: policy-rc.d(8) says no to it. A
# policy that the machine has already is left as it is.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" install -m 755 /dev/stdin "$policy"
fi
"${sudo[@]}" apt-get -q update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
