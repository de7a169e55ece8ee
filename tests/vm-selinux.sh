#!/bin/sh
# Containers that SELinux confines, by a policy of our own that is enforced, on a kernel that has it:
# `VM_KERNEL_ARGUMENTS="security=selinux selinux=1" tests/vm-systemd.sh tests/vm-selinux.sh RUNTIME`, as root.
# clause: config.process.selinuxLabel config-linux.mountLabel
set -eu
runtime=$(realpath "${1:?usage: vm-selinux.sh RUNTIME}")
. "$(dirname "$(realpath "$0")")/vm-checks.sh"
oci="$runtime --root /run/devoxx-selinux"
work=$(mktemp -d)
chmod 755 "$work"

# --- a policy -----------------------------------------------------------------------------------------------------------
# Whatever it has no word for is allowed: of what it has, only the host's processes may do all. Those of a container write to
# files of the container, and use its keys.
{
    cat <<'POLICY'
(handleunknown allow)
(mls true)
(policycap nnp_nosuid_transition)
(class process (transition dyntransition))
(class file (write append))
(class dir (relabelfrom relabelto))
(class key (view read write search link setattr create))
(classorder (process file dir key))
(sensitivity s0)
(sensitivityorder (s0))
(category c1) (category c2)
(categoryorder (c1 c2))
(sensitivitycategory s0 (range c1 c2))
(user system_u)
(role system_r) (role object_r)
(type host_t) (type container_t) (type other_t) (type host_file_t) (type container_file_t)
(typeattribute every) (typeattributeset every (all))
(typeattribute file) (typeattributeset file (host_file_t container_file_t))
(userrole system_u system_r) (userrole system_u object_r)
(roletype system_r host_t) (roletype system_r container_t) (roletype system_r other_t) (roletype object_r file)
(userlevel system_u (s0)) (userrange system_u ((s0) (s0 (range c1 c2))))
(allow host_t host_t (process (transition dyntransition)))
(allow host_t container_t (process (transition dyntransition)))
(allow host_t every (file (write append)))
(allow host_t every (dir (relabelfrom relabelto)))
(allow host_t every (key (view read write search link setattr create)))
(allow container_t container_t (process (transition dyntransition)))
(allow container_t container_file_t (file (write append)))
(allow container_t container_t (key (view read write search link setattr create)))
(fsuse trans tmpfs (system_u object_r host_file_t ((s0) (s0))))
(fsuse trans devpts (system_u object_r host_file_t ((s0) (s0))))
(fsuse trans mqueue (system_u object_r host_file_t ((s0) (s0))))
(fsuse xattr ext4 (system_u object_r host_file_t ((s0) (s0))))
(genfscon proc "/" (system_u object_r host_file_t ((s0) (s0))))
POLICY
    # The kernel counts them: all that it knows, in its order.
    sids="kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket
        tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod
        policy scmp_packet devnull"
    for sid in $sids; do
        case $sid in kernel | init) label="system_r host_t" ;; *) label="object_r host_file_t" ;; esac
        echo "(sid $sid) (sidcontext $sid (system_u $label ((s0) (s0))))"
    done
    echo "(sidorder ($(echo $sids)))"
} >"$work/policy.cil"
secilc --output "$work/policy" --filecontexts "$work/files" "$work/policy.cil"
mountpoint -q /sys/fs/selinux || mount -t selinuxfs selinuxfs /sys/fs/selinux
# In one write, as the kernel wants it.
dd if="$work/policy" of=/sys/fs/selinux/load bs=16M status=none
echo 1 >/sys/fs/selinux/enforce

# --- what is confined ---------------------------------------------------------------------------------------------------
label=system_u:system_r:container_t:s0:c1,c2
files=system_u:object_r:container_file_t:s0:c1,c2
labels() { # labels NO-NEW-PRIVILEGES: the change of a configuration
    echo ".process.selinuxLabel = \"$label\" | .linux.mountLabel = \"$files\" | .process.noNewPrivileges = $1 |
        .root.readonly = false |
        .mounts += [{destination: \"/tmp\", type: \"tmpfs\", source: \"tmpfs\", options: [\"nosuid\"]}] |
        .linux.maskedPaths = [\"/hidden\"]"
}
inside='tr -d "\000" < /proc/self/attr/current; echo; echo yes > /tmp/file && cat /tmp/file; echo no 2>&1 > /file'
expected="$label
yes
sh: can't create /file: Permission denied"
seen() { # seen PATH: the label of a file in the container, as the host sees it
    stat --format=%C "/proc/$pid/root$1"
}
for no_new_privileges in false true; do
    name=container-$no_new_privileges
    bundle "$work/$name" "$(labels $no_new_privileges)"
    mkdir -p rootfs/hidden
    ln -sf busybox rootfs/bin/tr
    launched $oci create "$name"
    $oci start "$name"
    pid=$($oci state "$name" | jq .pid)
    equal "its command is confined (no new privileges: $no_new_privileges)" "$(tr -d '\0' <"/proc/$pid/attr/current")" "$label"
    equal "what is executed is confined as well" "$($oci exec "$name" sh -c "$inside" 2>&1 || true)" "$expected"
    for path in /tmp /tmp/file /dev /dev/shm /dev/pts /dev/mqueue /hidden; do
        equal "the label of $path" "$(seen $path)" "$files"
    done
    equal "another label for exec" "$($oci exec --process-label "${label%,*}" "$name" cat /proc/self/attr/current | tr -d '\0')" "${label%,*}"
    equal "a file that says none has that of the container" "$(
        jq '.process | .args = ["cat", "/proc/self/attr/current"] | del(.selinuxLabel)' config.json >process.json
        $oci exec --process process.json "$name" | tr -d '\0'
    )" "$label"
    equal "its keyring is its own" "$(grep -c "_ses.$name" /proc/keys) $($oci exec "$name" cat /proc/keys | grep -c "_ses.$name")" "1 1"
    refused "a label that is none, for exec" 'set SELinux label "system_u:system_r:none_t:s0"' \
        $oci exec --process-label system_u:system_r:none_t:s0 "$name" true
    equal "one line of it" "$(echo "$said" | wc -l)" 1
    refused "a label that the policy keeps us from" "EACCES" $oci exec --process-label system_u:system_r:other_t:s0 "$name" sleep 0
    equal "the container goes on" "$($oci state "$name" | jq -r .status)" running
    $oci delete --force "$name"
done

# --- other ways to say it -----------------------------------------------------------------------------------------------
bundle "$work/kinds" "$(labels false) | .process.args = [\"sleep\", \"1000\"] |
    .annotations = {\"run.oci.mount_context_type\": \"rootcontext\"} |
    .mounts += [{destination: \"/own\", type: \"tmpfs\", source: \"tmpfs\", options: [\"context=\\\"${files%,*}\\\"\"]}]"
mkdir -p rootfs/hidden
launched $oci create kinds
pid=$($oci state kinds | jq .pid)
equal "the label of a root alone" "$(seen /tmp)" "$files"
equal "a mount that says its own" "$(seen /own)" "${files%,*}"
$oci delete --force kinds
bundle "$work/user" "$(labels false) | .linux.namespaces += [{type: \"user\"}] |
    .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings |
    .process.args = [\"sh\", \"-c\", \"cat /proc/self/attr/current; echo yes > /tmp/file; cat /tmp/file\"]"
mkdir -p rootfs/hidden && chown -R 100000:100000 rootfs
equal "in a user namespace" "$($oci run user | tr '\0' '\n')" "$label
yes"

# --- refusals -----------------------------------------------------------------------------------------------------------
bundle "$work/none" "$(labels false) | .process.selinuxLabel = \"system_u:system_r:none_t:s0\""
refused "a label that is none" 'set SELinux label "system_u:system_r:none_t:s0"' $oci run none
equal "one line of it" "$(echo "$said" | wc -l)" 1
bundle "$work/none" "$(labels false) | .linux.mountLabel = \"system_u:object_r:none_t:s0\""
refused "a label of mounts that is none" 'system_u:object_r:none_t:s0' $oci create none
equal "one line of that too" "$(echo "$said" | wc -l)" 1
bundle "$work/none" "$(labels false) | .process.selinuxLabel = \"system_u:system_r:other_t:s0\""
refused "a label that the policy keeps us from" "EACCES" $oci run none
$oci delete --force none 2>/dev/null || true

# --- from an image ------------------------------------------------------------------------------------------------------
bundle "$work/image" "$(labels false) | .linux.namespaces -= [{type: \"network\"}]"
mkdir -p rootfs/hidden
$oci create image </dev/null >/dev/null 2>&1
$oci start image
# What CRIU has the process do, to write to its own code, this policy denies.
echo 0 >/sys/fs/selinux/enforce
$oci checkpoint --image-path "$work/image/image" image ||
    fail "no checkpoint: $(tail -n 20 "$work/image/image/dump.log")"
# Debian's CRIU is built without libselinux: what it restores has our label, and so is none of ours.
if $oci --log "$work/said" restore --detach --image-path "$work/image/image" image </dev/null >/dev/null 2>&1; then
    equal "restored, it is confined" "$(tr -d '\0' <"/proc/$($oci state image | jq .pid)/attr/current")" "$label"
    $oci delete --force image
else
    equal "restored without its label, it is refused" "$(grep -c 'is criu built with libselinux' "$work/said")" 1
fi
equal "nothing is left" "$($oci list -q)$(ls /run/devoxx-selinux)" ""
rm -rf "$work"
