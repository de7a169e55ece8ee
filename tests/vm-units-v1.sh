#!/bin/sh
# A container as a unit of systemd where that has cgroup v1, beside v2 (hybrid) or alone: a short form of vm-units.sh, for
# `VM_KERNEL_ARGUMENTS=systemd.unified_cgroup_hierarchy=0 tests/vm-systemd.sh tests/vm-units-v1.sh RUNTIME`, and with
# systemd.legacy_systemd_cgroup_controller=1 as well.
set -eu
runtime=$(realpath "${1:?usage: vm-units-v1.sh RUNTIME}")
. "$(dirname "$(realpath "$0")")/vm-checks.sh"
oci="$runtime --systemd-cgroup"
work=$(mktemp -d)
bundle "$work/v1" '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 9}, cpu: {shares: 512}}'

property() { systemctl show --value -p "$1" devoxx-v1.scope; }

launched $oci create v1
equal "its unit runs" "$(property ActiveState)" active
pid=$($oci state v1 | jq .pid)
equal "it is in its scope in every hierarchy" "$(cut -d: -f3 "/proc/$pid/cgroup" | sort -u)" /system.slice/devoxx-v1.scope
equal "systemd knows the limits" "$(property MemoryLimit) $(property CPUShares) $(property TasksMax)" "67108864 512 9"
limit=/sys/fs/cgroup/memory/system.slice/devoxx-v1.scope/memory.limit_in_bytes
equal "and the kernel" "$(cat $limit)" 67108864
$oci start v1
$oci update --memory 134217728 v1
equal "an update" "$(cat $limit) $(property MemoryLimit)" "134217728 134217728"
$oci delete --force v1
equal "its unit is gone" "$(property LoadState)" not-found
equal "and its cgroups" "$(find /sys/fs/cgroup -name 'devoxx-v1*')" ""

# Where init goes into its cgroups late, the unit is to wait for it: without v2, an empty one ends.
bundle "$work/late" '.linux.netDevices = {"devoxx0": {}}'
for round in 1 2 3 4 5; do
    ip link add devoxx0 type dummy
    launched $oci create late
    pid=$($oci state late | jq .pid)
    equal "it is in its scope, time $round" "$(cut -d: -f3 "/proc/$pid/cgroup" | sort -u)" /system.slice/devoxx-late.scope
    equal "which runs" "$(systemctl show --value -p ActiveState devoxx-late.scope)" active
    $oci delete --force late
    ip link delete devoxx0 2>/dev/null || true
done
rm -rf "$work"
