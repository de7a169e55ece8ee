#!/bin/sh
# Containers as units of systemd, in a machine that it runs: `tests/vm-systemd.sh tests/vm-units.sh RUNTIME`, as root, then
# as an ordinary user from within his own manager and from where he logs in. It ends with the first check that fails.
set -eu
runtime=$(realpath "${1:?usage: vm-units.sh RUNTIME}")
self=$(realpath "$0")
. "$(dirname "$self")/vm-checks.sh"
oci="$runtime --systemd-cgroup --root ${XDG_RUNTIME_DIR:-/run}/devoxx-units"
work=$(mktemp -d)

property() { systemctl $user show --value -p "$1" "$2"; }

limits='.linux.resources = {memory: {limit: 67108864, swap: 67108864}, pids: {limit: 20}}'
if [ "$(id -u)" = 0 ]; then
    user= rootless= slice=machine.slice
    limits='.linux.resources = {memory: {limit: 67108864, reservation: 33554432, swap: 67108864}, pids: {limit: 20},
        cpu: {shares: 512, quota: 50500, period: 100000, cpus: "0", mems: "0"}, unified: {"memory.high": "50331648"}}'
else
    user=--user rootless=--rootless slice=
fi

if [ "${2:-}" = login ]; then
    equal "where somebody logs in is not his manager's" "$(grep -c '^0::/user.slice/user-1000.slice/session-' /proc/self/cgroup)" 1
fi

# --- a life -------------------------------------------------------------------------------------------------------------
bundle "$work/one" "$limits | .linux.cgroupsPath = \"$slice:units:one\"" $rootless
$oci create one </dev/null >/dev/null 2>&1 || $oci create one
scope=$(property ControlGroup units-one.scope)
cgroup=/sys/fs/cgroup$scope
equal "its unit runs" "$(property ActiveState units-one.scope)" active
equal "it is delegated" "$(property Delegate units-one.scope)" yes
equal "it is in its slice" "$(property Slice units-one.scope)" "${slice:-user.slice}"
pid=$($oci state one | jq .pid)
equal "it was born beneath its scope" "$(sed -n 's/^0:://p' "/proc/$pid/cgroup")" "$scope/container"
equal "and it is alone there" "$(cat "$cgroup/container/cgroup.procs")" "$pid"
equal "with nobody right in the scope" "$(cat "$cgroup/cgroup.procs")" ""
equal "systemd knows the memory limit" "$(property MemoryMax units-one.scope)" 67108864
equal "and that of swap" "$(property MemorySwapMax units-one.scope)" 0
equal "and of tasks" "$(property TasksMax units-one.scope)" 20
equal "the kernel knows it of the scope" "$(cat "$cgroup/memory.max")" 67108864
equal "and of the container" "$(cat "$cgroup/container/memory.max")" 67108864
if [ -z "$user" ]; then
    equal "systemd's reservation" "$(property MemoryLow units-one.scope)" 33554432
    equal "systemd's weight" "$(property CPUWeight units-one.scope)" 59
    equal "systemd's quota, in whole hundredths" "$(property CPUQuotaPerSecUSec units-one.scope)" 510ms
    equal "the kernel's quota, as it was said" "$(cat "$cgroup/container/cpu.max")" "50500 100000"
    equal "systemd's processors" "$(property AllowedCPUs units-one.scope)" 0
    equal "the kernel's processors" "$(cat "$cgroup/container/cpuset.cpus")" 0
    equal "a file of cgroup v2" "$(property MemoryHigh units-one.scope)" 50331648
fi
$oci start one
equal "it runs" "$($oci state one | jq -r .status)" running
equal "what is executed is beneath it" "$($oci exec one cat /proc/self/cgroup 2>&1)" "0::/"
systemctl $user daemon-reload
equal "a reload changes nothing" "$(cat "$cgroup/memory.max" "$cgroup/container/memory.max" | uniq)" 67108864
$oci update --memory 134217728 --memory-swap 134217728 --pids-limit 30 one
equal "systemd knows the new limit" "$(property MemoryMax units-one.scope)" 134217728
equal "and the kernel" "$(cat "$cgroup/memory.max" "$cgroup/container/memory.max" | uniq)" 134217728
equal "and that of tasks" "$(property TasksMax units-one.scope)" 30
$oci pause one
equal "it pauses" "$($oci state one | jq -r .status)" paused
$oci resume one
bundle "$work/two" ".linux.cgroupsPath = \"$slice:units:one\"" $rootless
refused "a unit that is there is somebody's" "units-one.scope" $oci create two
equal "and goes on" "$($oci state one | jq -r .status)" running
$oci delete --force one
equal "its unit is gone" "$(property LoadState units-one.scope)" not-found
[ ! -e "$cgroup" ] || fail "its cgroup is there: $cgroup"

# --- ends by itself -----------------------------------------------------------------------------------------------------
bundle "$work/short" '.process.args = ["sh", "-c", "exit 3"]' $rootless
code=0
$oci run short </dev/null || code=$?
equal "the exit code" "$code" 3
equal "its unit, named by default, is gone" "$(property LoadState devoxx-short.scope)" not-found

# --- slices -------------------------------------------------------------------------------------------------------------
bundle "$work/nested" "$limits | .linux.cgroupsPath = \"devoxx-deep.slice:units:nested\"" $rootless
launched $oci create nested
scope=$(property ControlGroup units-nested.scope)
equal "a slice that was missing is there" "$(property ActiveState devoxx-deep.slice)" active
equal "in the slice that its name says" "${scope##*/devoxx.slice}" /devoxx-deep.slice/units-nested.scope
equal "with the limit" "$(cat "/sys/fs/cgroup$scope/memory.max")" 67108864
pid=$($oci state nested | jq .pid)
equal "and the container beneath" "$(sed -n 's/^0:://p' "/proc/$pid/cgroup")" "$scope/container"
$oci delete --force nested
equal "its scope is gone" "$(property LoadState units-nested.scope) $(ls -d "/sys/fs/cgroup$scope" 2>&1 | grep -c 'No such')" "not-found 1"
systemctl $user stop devoxx.slice

bundle "$work/slice" "$limits | .linux.cgroupsPath = \"devoxx.slice::devoxx-own.slice\"" $rootless
if [ "${2:-}" = login ]; then
    # Which systemd moves nobody into: it does so for what is delegated.
    refused "a slice of its own, from where he logs in" "systemd-run --user --scope" $oci create slice
    equal "it is not left behind" "$(property ActiveState devoxx-own.slice)" inactive
else
    launched $oci create slice
    slice_cgroup=$(property ControlGroup devoxx-own.slice)
    equal "a slice of its own" "${slice_cgroup##*/devoxx.slice}" /devoxx-own.slice
    equal "systemd knows its limit" "$(property MemoryMax devoxx-own.slice)" 67108864
    pid=$($oci state slice | jq .pid)
    equal "the container is in it, not beneath: nothing there would last" "$(sed -n 's/^0:://p' "/proc/$pid/cgroup")" "$slice_cgroup"
    $oci start slice
    systemctl $user daemon-reload
    equal "and stays there" "$(cat "/sys/fs/cgroup$slice_cgroup/memory.max" "/sys/fs/cgroup$slice_cgroup/pids.max" | xargs)" "67108864 20"
    equal "what is executed too" "$($oci exec slice cat /proc/self/cgroup)" "0::/"
    $oci update --pids-limit 30 slice
    equal "an update" "$(property TasksMax devoxx-own.slice) $(cat "/sys/fs/cgroup$slice_cgroup/pids.max")" "30 30"
    $oci delete --force slice
    equal "it is stopped" "$(property ActiveState devoxx-own.slice) $(ls -d "/sys/fs/cgroup$slice_cgroup" 2>&1 | grep -c 'No such')" "inactive 1"
fi
systemctl $user stop devoxx.slice

# --- annotations --------------------------------------------------------------------------------------------------------
bundle "$work/noted" '.annotations = {"org.systemd.property.TimeoutStopSec": "12",
    "org.systemd.property.Description": "\u0027of my own\u0027", "org.systemd.property.CollectMode": "\u0027inactive-or-failed\u0027",
    "run.oci.systemd.subgroup": "inner"}' $rootless
$oci create noted </dev/null >/dev/null 2>&1
equal "seconds" "$(property TimeoutStopUSec devoxx-noted.scope)" 12s
equal "a text" "$(property CollectMode devoxx-noted.scope)" inactive-or-failed
equal "one of ours" "$(property Description devoxx-noted.scope)" "of my own"
pid=$($oci state noted | jq .pid)
equal "a subgroup" "$(sed -n 's|.*/||p' "/proc/$pid/cgroup")" inner
$oci delete --force noted
bundle "$work/none" '.annotations = {"run.oci.systemd.subgroup": ""}' $rootless
$oci create none </dev/null >/dev/null 2>&1
pid=$($oci state none | jq .pid)
equal "no subgroup" "$(sed -n 's|.*/||p' "/proc/$pid/cgroup")" devoxx-none.scope
equal "and alone there" "$(cat "/sys/fs/cgroup$(property ControlGroup devoxx-none.scope)/cgroup.procs")" "$pid"
$oci delete --force none

# --- refusals -----------------------------------------------------------------------------------------------------------
bundle "$work/bad" '.linux.cgroupsPath = "/not/of/systemd"' $rootless
refused "a path" "SLICE:PREFIX:NAME" $oci create bad
bundle "$work/bad" '.annotations = {"org.systemd.property.CollectMode": "fly"}' $rootless
refused "a value that is none" "org.systemd.property.CollectMode" $oci create bad
bundle "$work/bad" '.annotations = {"org.systemd.property.NoSuchThing": "true"}' $rootless
refused "a property that is none" "NoSuchThing" $oci create bad
bundle "$work/bad" '.annotations = {"org.systemd.property.PIDs": "[uint32 1]"}' $rootless
refused "a property that is ours" "PIDs" $oci create bad
bundle "$work/bad" . $rootless
refused "no bus" "D-Bus" env DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent $oci create bad
equal "nothing is left" "$($oci list -q)" ""
equal "and no unit" "$(systemctl $user list-units --all --no-legend 'units-*' 'devoxx-*.scope')" ""
rm -rf "$work"

if [ "$(id -u)" = 0 ]; then
    loginctl enable-linger devoxx-test
    systemctl start user@1000.service
    install -m 755 "$runtime" /usr/local/bin/devoxx-runtime
    install -m 755 "$self" "$(dirname "$self")/vm-checks.sh" /tmp
    as_user="--quiet --wait --pipe -E PATH=$PATH"
    units="/tmp/vm-units.sh /usr/local/bin/devoxx-runtime"
    # From within his own manager: whoever is born in a cgroup must be allowed to leave the one before.
    setpriv --reuid 1000 --regid 1000 --clear-groups env -i "PATH=$PATH" HOME=/home/devoxx-test XDG_RUNTIME_DIR=/run/user/1000 \
        systemd-run --user $as_user $units
    # And from where he logs in, which is none of his manager's: that has him moved.
    systemd-run -p User=devoxx-test -p PAMName=login -p WorkingDirectory=/tmp $as_user $units login
fi
