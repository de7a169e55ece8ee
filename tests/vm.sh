#!/usr/bin/env bash
# The end-to-end tests in a virtual machine: Debian's own kernel, cgroup v2 alone with every controller. What this
# machine's kernel cannot show is shown there. `tests/vm.sh [FILTER...]`: the words that choose tests, none for all.
# VM_CGROUPS=v1: a hybrid host instead, with every controller on cgroup v1.
#
# The machine's own files are its root, read-only: the same programs, another kernel. It needs no /dev/kvm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/testkit/vm
# The machine has a /tmp of its own, and finds the project and what was built where they are here.
for place in "$PWD" "$out"; do
    [[ $place != /tmp/* && $place != /run/* ]] || { echo "${0##*/}: $place: not below /tmp or /run, please" >&2; exit 2; }
done

# --- inside: `vm.sh inside PROGRAM ARGUMENT...` -------------------------------------------------------------------------
if [[ ${1:-} == inside ]]; then
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    mount -t tmpfs -o mode=1777 tmp /tmp
    mount -t tmpfs -o mode=755 run /run
    ip link set lo up
    # Namespaces without privilege do not load modules.
    for module in loop overlay veth bridge tun nf_tables nft_nat nft_masq nft_fib_inet nft_chain_nat nf_conntrack_netlink; do
        modprobe "$module"
    done
    mkdir -p /dev/net
    [[ -e /dev/net/tun ]] || mknod /dev/net/tun c 10 200
    if [[ $VM_CGROUPS == v1 ]]; then
        # As systemd has it on a hybrid host: a hierarchy for each controller, its own, and v2 without any.
        umount /sys/fs/cgroup
        mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
        for controller in $(awk '$4 == 1 { print $1 }' /proc/cgroups); do
            mkdir "/sys/fs/cgroup/$controller"
            mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
        done
        mkdir /sys/fs/cgroup/{systemd,unified}
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    else
        # As systemd leaves it: the cgroups right below the root have the controllers.
        for controller in $(</sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
        done
    fi
    truncate -s 8G /run/disk
    mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 /run/disk
    mkdir /run/store
    mount -o loop /run/disk /run/store
    shift
    code=0
    # Whoever loses its parent is waited for by PID 1, as on any machine: the one here does not.
    python3 -c '
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
while True:
    pid, status = os.wait()
    if pid == child.pid:
        sys.exit(os.waitstatus_to_exitcode(status))
' "$@" || code=$?
    echo "vm.sh: code $code"
    exit
fi

# --- outside ------------------------------------------------------------------------------------------------------------
sudo=()
((EUID == 0)) || sudo=(sudo)
packages=(qemu-system-x86 kmod python3-pip)
missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
    "${sudo[@]}" apt-get -q update
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
fi
# The kernel is unpacked, not installed: nothing of the machine's own boot changes.
if ! compgen -G "$out/kernel/lib/modules/*/modules.dep" >/dev/null; then
    rm -rf "$out/kernel" && mkdir -p "$out"
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n1)
    (cd "$out" && apt-get -q download "$package" && dpkg-deb -x "$package"_*.deb kernel && rm "$package"_*.deb)
    depmod -b "$out/kernel" "$(ls "$out/kernel/lib/modules")"
fi
if [[ ! -d $out/vng ]]; then
    python3 -m pip -q install --target "$out/vng" virtme-ng
    # Without a cache in the machine each page of a program is fetched again at each of its starts, and that is most of what there is to do:
    # nobody changes the files meanwhile.
    sed -i 's/\(trans=virtio,access=any,msize=[0-9]*\)\( \|"\)/\1,cache=loose\2/' "$out/vng/virtme/mkinitramfs.py"
    grep -q cache=loose "$out/vng/virtme/mkinitramfs.py"
fi
# Where the machine has none, its modules are mounted there in the virtual machine alone.
[[ -d /lib/modules ]] || "${sudo[@]}" mkdir /lib/modules

# All of the workspace, as `make test` builds it: of some of it the features are others, and all of that would be built once more.
"${CARGO:-cargo}" build -q --workspace --bins
tests=$("${CARGO:-cargo}" test --workspace --no-run --message-format json 2>/dev/null)
# built TEST: the path of a test program.
built() {
    sed -n "s/.*\"executable\":\"\([^\"]*\/$1-[^\"]*\)\".*/\1/p" <<<"$tests" | tail -n1
}
engine=$(built e2e)
runtime=$(built oci)
cgroup=$(built kernel)
# Copies: a build meanwhile must not change them under the feet of the virtual machine.
mkdir -p "$out/bin"
cp "$engine" "$out/bin/e2e"
cp "$runtime" "$out/bin/oci"
cp "$cgroup" "$out/bin/kernel"
cp "$(dirname "$engine")/../devoxx-container" "$(dirname "$runtime")/../devoxx-runtime" "$(dirname "$runtime")/../torture" "$out/bin/"
# What is told is written where it is, and nothing else is.
reports=$(realpath -m "${CARGO_TARGET_DIR:-target}")/torture-vm
mkdir -p "$reports"
# What looks through the whole of the machine's files takes minutes there, and is about no kernel; and /usr is a mount of
# its own there, which a scratch copy leaves out.
run() {
    printf '%q ' env DEVOXX_TESTKIT_DISK=/run/store "DEVOXX_CONTAINER=$out/bin/devoxx-container" \
        "DEVOXX_RUNTIME=$out/bin/devoxx-runtime" "$out/bin/$1" --test-threads 2 "${@:2}"
}
# Each is run, whatever came of the one before. VM_PROGRAMS chooses among them; with words to choose tests by and without it, those of the
# cgroups are left out. As a file: several shells stand between this one and that in the virtual machine.
{
    echo 'code=0'
    for program in ${VM_PROGRAMS:-kernel oci e2e}; do
        case $program in
        kernel)
            [[ $# -gt 0 && -z ${VM_PROGRAMS:-} || ${VM_CGROUPS:-v2} == v1 ]] || echo "$out/bin/kernel --exact inside_v2 --ignored || code=1"
            ;;
        # Bad input is no matter of the kernel, and takes as long as all the rest.
        oci) echo "$(run oci --skip malformed:: "$@") || code=1" ;;
        # Its words are those of torture.
        torture) printf '%q ' "$out/bin/torture" --programs "$out/bin" --out "$reports" "$@" && echo '|| code=1' ;;
        e2e) echo "$(run e2e --skip broken_blobs --skip try_to_leave --skip scratch_copy "$@") || code=1" ;;
        esac
    done
    echo 'exit $code'
} >"$out/all"
command=$(printf '%q ' env "VM_CGROUPS=${VM_CGROUPS:-v2}" "$PWD/tests/vm.sh" inside bash "$out/all")
boot=$(printf '%q ' "${sudo[@]}" env "PYTHONPATH=$out/vng" "PATH=$out/vng/bin:$PATH" vng \
    --run "$(echo "$out"/kernel/boot/vmlinuz-*)" --disable-kvm --force-9p --disable-microvm \
    --rwdir "$reports" --user root --cpus 2 --memory 4G --cwd "$PWD" --verbose -- "$command")
# It wants a terminal, its output is that of the kernel's console, and its exit code says nothing of the program's.
log=$out/log
script -qec "$boot" /dev/null </dev/null 2>&1 | sed -u -e 's/\x1b\[[0-9;?]*[a-zA-Z]//g' -e 's/\r//g' >"$log" || true
sed -n '/^\(running \|## \)/,$p' "$log" | grep -v '^\['
grep -q '^vm.sh: code 0$' "$log"
