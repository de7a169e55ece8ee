#!/bin/sh
# Containers that AppArmor confines, on a kernel that has it: `tests/vm-systemd.sh tests/vm-apparmor.sh RUNTIME`, as root.
# clause: config.process.apparmorProfile
set -eu
runtime=$(realpath "${1:?usage: vm-apparmor.sh RUNTIME}")
. "$(dirname "$(realpath "$0")")/vm-checks.sh"
oci="$runtime --root /run/devoxx-apparmor"
work=$(mktemp -d)
chmod 755 "$work"

# Attached to no path: a process is in it only where it is put there.
apparmor_parser --replace --skip-cache <<'PROFILES'
profile devoxx-one flags=(attach_disconnected, mediate_deleted) {
    file, capability, network, signal, ptrace, unix, mount, umount, pivot_root,
    deny /secret r,
    deny /proc/sys/kernel/hostname w,
}
profile devoxx-two flags=(attach_disconnected, mediate_deleted) {
    file, capability, network, signal, ptrace, unix,
    deny /open r,
}
PROFILES

current='/proc/self/attr/apparmor/current'
read_all="cat $current /open /secret 2>&1"
profile() { # profile NAME NO-NEW-PRIVILEGES: the change of a configuration
    echo ".process.apparmorProfile = \"$1\" | .process.noNewPrivileges = $2"
}
one="devoxx-one (enforce)
yes
cat: can't open '/secret': Permission denied"
two="devoxx-two (enforce)
cat: can't open '/open': Permission denied
yes"

# --- what is confined, and what is not ----------------------------------------------------------------------------------
for no_new_privileges in false true; do
    name=container-$no_new_privileges
    bundle "$work/$name" "$(profile devoxx-one $no_new_privileges)"
    echo yes | tee rootfs/open >rootfs/secret
    launched $oci create "$name"
    $oci start "$name"
    pid=$($oci state "$name" | jq .pid)
    equal "its command is confined (no new privileges: $no_new_privileges)" "$(cat "/proc/$pid/attr/current")" "devoxx-one (enforce)"
    equal "what is executed is confined as well" "$($oci exec "$name" sh -c "$read_all" || true)" "$one"
    equal "or by another profile" "$($oci exec --apparmor devoxx-two "$name" sh -c "$read_all" || true)" "$two"
    equal "or as its file says" "$(
        jq '.process | .args = ["sh", "-c", "'"$read_all"'"] | .apparmorProfile = "devoxx-two"' config.json >process.json
        $oci exec --process process.json "$name" || true
    )" "$two"
    equal "a file that says none has that of the container" "$(
        jq '.process | .args = ["sh", "-c", "'"$read_all"'"] | del(.apparmorProfile)' config.json >process.json
        $oci exec --process process.json "$name" || true
    )" "$one"
    equal "an ordinary user too" "$($oci exec --user 1000:1000 "$name" cat $current)" "devoxx-one (enforce)"
    refused "a profile that is none, for exec" 'AppArmor profile "devoxx-none"' $oci exec --apparmor devoxx-none "$name" true
    equal "one line of it" "$(echo "$said" | wc -l)" 1
    equal "the container goes on" "$($oci state "$name" | jq -r .status)" running
    $oci delete --force "$name"
done
bundle "$work/free" .
echo yes | tee rootfs/open >rootfs/secret
jq ".process.args = [\"sh\", \"-c\", \"$read_all\"]" config.json >new && mv new config.json
equal "without a profile nothing is denied" "$($oci run free)" "unconfined
yes
yes"

# --- its life -----------------------------------------------------------------------------------------------------------
bundle "$work/user" "$(profile devoxx-one false) | .linux.namespaces += [{type: \"user\"}] |
    .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings |
    .process.args = [\"cat\", \"$current\"]"
chown -R 100000:100000 rootfs
equal "in a user namespace" "$($oci run user)" "devoxx-one (enforce)"
bundle "$work/hook" "$(profile devoxx-one false) | .process.args = [\"cat\", \"/told\"] |
    .root.readonly = false | .hooks.startContainer = [{path: \"/bin/sh\", args: [\"sh\", \"-c\", \"cat $current > /told\"]}]"
equal "what runs in it before its command" "$($oci run hook)" "devoxx-one (enforce)"
bundle "$work/none" "$(profile devoxx-none false)"
refused "a profile that is none" 'AppArmor profile "devoxx-none"' $oci run none
equal "one line of it" "$(echo "$said" | wc -l)" 1
refused "nor is it created" 'AppArmor profile "devoxx-none"' $oci create none
bundle "$work/none" "$(profile 'devoxx-one\\n' false)"
refused "a name with a line end" process.apparmorProfile $oci create none
equal "nothing is left" "$($oci list -q)$(ls /run/devoxx-apparmor)" ""

# --- from an image ------------------------------------------------------------------------------------------------------
# Without a network of its own: CRIU would need iptables to lock it.
bundle "$work/image" "$(profile devoxx-one false) | .root.readonly = false |
    .linux.namespaces -= [{type: \"network\"}]"
echo yes | tee rootfs/open >rootfs/secret
launched $oci create image
$oci start image
$oci checkpoint --image-path "$work/image/image" image ||
    fail "no checkpoint: $(tail -n 20 "$work/image/image/dump.log")"
launched $oci restore --detach --image-path "$work/image/image" image
pid=$($oci state image | jq .pid)
equal "restored, it is confined" "$(cat "/proc/$pid/attr/current")" "devoxx-one (enforce)"
equal "and what is executed then" "$($oci exec image sh -c "$read_all" || true)" "$one"
$oci delete --force image
launched $oci restore --detach --lsm-profile apparmor:devoxx-two --image-path "$work/image/image" image
pid=$($oci state image | jq .pid)
equal "restored into another profile" "$(cat "/proc/$pid/attr/current")" "devoxx-two (enforce)"
$oci delete --force image
jq '.process.apparmorProfile = "devoxx-two"' config.json >new && mv new config.json
refused "restored without the profile of its configuration" "--lsm-profile apparmor:devoxx-two changes it" \
    $oci restore --detach --image-path "$work/image/image" image
equal "nothing is left of it" "$(ls /run/devoxx-apparmor)" ""
rm -rf "$work"
