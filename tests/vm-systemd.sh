#!/usr/bin/env bash
# A command in a virtual machine that systemd runs: Debian with D-Bus, cgroup v2 with every controller, CRIU, runc.
# `tests/vm-systemd.sh COMMAND ARGUMENT...`: as root, in this directory, with its output and its exit code. The project
# is there as it is here, read-only; everything else that is written is gone with the machine. It needs no /dev/kvm.
#
# The image is made once, with debootstrap; a boot on an emulated processor takes about half a minute.
# VM_TIMEOUT=SECONDS (900) is the longest that a command may take; VM_KERNEL_ARGUMENTS are the kernel's, such as
# systemd.unified_cgroup_hierarchy=0 for cgroup v1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/testkit/vm
# The machine has a /tmp of its own, and finds the project and what was built where they are here.
for place in "$PWD" "$out"; do
    [[ $place != /tmp/* && $place != /run/* ]] || { echo "${0##*/}: $place: not below /tmp or /run, please" >&2; exit 2; }
done
(($#)) || { echo "usage: tests/vm-systemd.sh COMMAND ARGUMENT..." >&2; exit 2; }
if ((EUID != 0)); then
    keep=PATH,CARGO_TARGET_DIR,VM_TIMEOUT,VM_KERNEL_ARGUMENTS
    exec sudo --preserve-env="$keep" env "PATH=$PATH" "${BASH_SOURCE[0]}" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin

# --- what it takes ------------------------------------------------------------------------------------------------------
packages=(qemu-system-x86 kmod debootstrap busybox-static cpio e2fsprogs)
missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
    apt-get -q update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}" >&2
fi
mkdir -p "$out"
exec 9>"$out/lock"
flock 9
# The kernel is unpacked, not installed: nothing of the machine's own boot changes.
if ! compgen -G "$out/kernel/lib/modules/*/modules.dep" >/dev/null; then
    rm -rf "$out/kernel"
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n1)
    (cd "$out" && apt-get -q download "$package" && dpkg-deb -x "$package"_*.deb kernel && rm "$package"_*.deb)
    depmod -b "$out/kernel" "$(ls "$out/kernel/lib/modules")"
fi
kernel=$(ls "$out/kernel/lib/modules")

# --- the root file system -----------------------------------------------------------------------------------------------
inside_packages=(
    systemd systemd-sysv dbus dbus-user-session libpam-systemd  # what this machine is for
    busybox-static uidmap                                       # root file systems of containers, and users for them
    criu runc strace                                            # checkpoints, a peer, other eyes
    apparmor secilc                                             # compilers of the policies of security modules
    procps iproute2 kmod jq                                     # tests look around
)
make_image() {
    local root=$out/root.new mirror
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
        grep -oE 'https?://[^ ]*/debian/?( |$)' | head -n1 | tr -d ' ') || true
    echo "vm-systemd.sh: making an image, once" >&2
    rm -rf "$root" "$out/debian.ext4"
    if ! debootstrap --variant=minbase --include="$(IFS=,; echo "${inside_packages[*]}")" bookworm "$root" \
        "${mirror:-http://deb.debian.org/debian}" >"$out/debootstrap.log" 2>&1; then
        tail -n 20 "$out/debootstrap.log" >&2
        return 1
    fi
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
    echo devoxx-vm >"$root/etc/hostname"
    echo '127.0.0.1 localhost devoxx-vm' >"$root/etc/hosts"
    printf 'root / ext4 rw 0 0\ntmp /tmp tmpfs mode=1777 0 0\n' >"$root/etc/fstab"
    echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
    chroot "$root" useradd --create-home --shell /bin/sh --uid 1000 devoxx-test
    chroot "$root" passwd -q -d root
    # Nobody logs in, and nothing is to be done in the time that it lives.
    local unit
    for unit in getty@tty1.service serial-getty@ttyS0.service systemd-networkd.service systemd-timesyncd.service \
        systemd-update-utmp.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
        e2scrub_all.timer e2scrub_reap.service systemd-random-seed.service systemd-hwdb-update.service \
        systemd-journal-flush.service apparmor.service keyboard-setup.service console-setup.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    install -m 755 /dev/stdin "$root/usr/local/sbin/devoxx-command" <<'COMMAND'
#!/bin/sh
# Runs the command of this boot on the second serial line, tells its exit code, and ends the machine.
stty -F /dev/ttyS1 raw -echo
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh /devoxx/command </dev/null >/dev/ttyS1 2>&1
echo "$?" >/devoxx/code
sync
systemctl poweroff --force --force
COMMAND
    cat >"$root/etc/systemd/system/devoxx-command.service" <<'UNIT'
[Unit]
Description=The command that this machine was booted for
After=basic.target dbus.service systemd-logind.service systemd-user-sessions.service
Wants=dbus.service systemd-logind.service
[Service]
Type=simple
ExecStart=/usr/local/sbin/devoxx-command
Delegate=yes
TasksMax=infinity
[Install]
WantedBy=multi-user.target
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/devoxx"
    ln -sf ../devoxx-command.service "$root/etc/systemd/system/multi-user.target.wants/"
    truncate -s 3G "$out/debian.ext4.part"
    mkfs.ext4 -q -F -d "$root" -E lazy_itable_init=1,lazy_journal_init=1 "$out/debian.ext4.part"
    mv "$out/debian.ext4.part" "$out/debian.ext4"
    rm -rf "$root"
}

# The first root has what it takes to find the second one, and the modules from outside.
make_initrd() {
    local first=$out/initrd.new module name
    rm -rf "$first" && mkdir -p "$first"/{bin,dev,proc,sys,new,modules}
    cp "$(command -v busybox)" "$first/bin/busybox"
    for name in sh mount insmod switch_root mkdir; do ln -s busybox "$first/bin/$name"; done
    : >"$first/modules/list"
    for name in virtio_pci virtio_blk ext4 9p 9pnet_virtio; do
        modprobe -S "$kernel" -d "$out/kernel" --show-depends "$name" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++' | while read -r module; do
        cp "$module" "$first/modules/"
        basename "$module" >>"$first/modules/list"
    done
    install -m 755 /dev/stdin "$first/init" <<'INIT'
#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod "/modules/$module"; done </modules/list
mount -t ext4 /dev/vda /new
nine() { # nine TAG DIRECTORY OPTIONS
    mkdir -p "/new$2"
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "/new$2"
}
nine modules /lib/modules ro,cache=loose
nine devoxx /devoxx rw
read -r project </new/devoxx/project
nine project "$project" ro,cache=loose
read -r target </new/devoxx/target
case $target in "$project"/*) ;; *) nine target "$target" ro,cache=loose ;; esac
mount --move /dev /new/dev
mount --move /proc /new/proc
mount --move /sys /new/sys
exec switch_root /new /sbin/init
INIT
    (cd "$first" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd.part"
    mv "$out/initrd.part" "$out/initrd"
    rm -rf "$first"
}

stamp=$({ declare -f make_image make_initrd; echo "$kernel ${inside_packages[*]}"; } | sha256sum | cut -d' ' -f1)
if [[ $(cat "$out/debian.stamp" 2>/dev/null) != "$stamp" ]]; then
    make_image
    make_initrd
    echo "$stamp" >"$out/debian.stamp"
fi
flock -u 9

# --- the boot -----------------------------------------------------------------------------------------------------------
run=$(mktemp -d "$out/run.XXXXXX")
tidy() {
    [[ -z ${qemu:-} ]] || kill "$qemu" 2>/dev/null || true
    rm -rf "$run"
}
trap tidy EXIT
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
echo "$PWD" >"$run/project"
echo "$target" >"$run/target"
printf 'cd %q && exec ' "$PWD" >"$run/command"
printf '%q ' "$@" >>"$run/command"
share() { # share TAG DIRECTORY OPTIONS
    printf -- '-fsdev\nlocal,id=%s,path=%s,security_model=%s\n-device\nvirtio-9p-pci,fsdev=%s,mount_tag=%s\n' "$1" "$2" "$3" "$1" "$1"
}
mapfile -t shares < <(
    share modules "$out/kernel/lib/modules" none,readonly=on
    share devoxx "$run" none
    share project "$PWD" none,readonly=on,multidevs=remap
    share target "$target" none,readonly=on,multidevs=remap
)
# Changes go to a file that has no name any more. Each line of the console costs the emulated processor time.
TMPDIR=$run timeout --kill-after 5 "${VM_TIMEOUT:-900}" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp 2 -m 2G -nodefaults -no-user-config -nographic -no-reboot \
    -kernel "$out/kernel/boot/vmlinuz-$kernel" -initrd "$out/initrd" \
    -append "console=ttyS0 quiet panic=-1 systemd.show_status=no systemd.log_level=notice mitigations=off ${VM_KERNEL_ARGUMENTS:-}" \
    -drive "file=$out/debian.ext4,format=raw,if=virtio,snapshot=on" "${shares[@]}" \
    -serial "file:$run/console" -serial stdio -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
    </dev/null 9>&- &
qemu=$!
wait "$qemu" || true
qemu=
if [[ ! -s $run/code ]]; then
    echo "vm-systemd.sh: the machine ended without the command's exit code; its console:" >&2
    tail -n 40 "$run/console" >&2
    exit 1
fi
exit "$(<"$run/code")"
