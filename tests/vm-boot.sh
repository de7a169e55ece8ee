#!/bin/sh
# Containers that come back with the machine, where systemd runs it: `tests/vm-systemd.sh tests/vm-boot.sh ENGINE`, as root,
# then as an ordinary user under his own manager. It ends with the first check that fails.
set -eu
engine=$(realpath "${1:?usage: vm-boot.sh ENGINE}")
self=$(realpath "$0")
. "$(dirname "$self")/vm-checks.sh"
work=$(mktemp -d)
unit=devoxx-container.service
case $(id -u) in
0) user= place=/etc/systemd/system ;;
*) user=--user place=$HOME/.config/systemd/user ;;
esac

mkdir -p "$work/root/bin" "$work/root/proc"
cp /bin/busybox "$work/root/bin/"
for applet in sh sleep cat; do ln -s busybox "$work/root/bin/$applet"; done
# It says how it was ended, which takes longer than being killed does.
waits='trap "sleep 0.3; echo ended >>/log/$NAME; exit" TERM; echo started >>/log/$NAME; sleep 1000 & wait'
mkdir "$work/log"
launch() { # launch NAME OPTION...
    launched "$engine" run -d --name "$@" -e "NAME=$1" --network none -v "$work/log:/log" --rootfs "$work/root" sh -c "$waits"
}
state() { "$engine" ps -a --filter "name=^$1\$" --format '{{.State}}'; }

launch always --restart always
launch kept --restart unless-stopped
launch stopped --restart unless-stopped
launch once
launched "$engine" stop stopped

"$engine" system enable 2>/dev/null
equal "the unit is where systemd looks" "$(ls "$place/$unit")" "$place/$unit"
equal "it is enabled" "$(systemctl $user is-enabled $unit)" enabled
systemctl $user start $unit
equal "what runs is left alone" "$(cat "$work/log/always")" started

# As the machine goes down: who was started by hand is ended too.
for name in always kept once; do
    pid=$("$engine" inspect --format '{{.State.Pid}}' "$name")
    kill "$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")"
done
launched "$engine" wait always kept once
equal "each ended as stop ends it" "$(cat "$work/log/always" "$work/log/kept")" "started
ended
started
ended"
systemctl $user stop $unit
systemctl $user start $unit
equal "always comes back" "$(state always)" running
equal "what nobody stopped comes back" "$(state kept)" running
equal "what was stopped does not" "$(state stopped)" exited
equal "nor what has no policy" "$(state once)" exited

systemctl $user stop $unit
equal "with the unit they end" "$(state always; state kept)" "exited
exited"
equal "each as stop ends it" "$(tail -n 2 "$work/log/always")" "started
ended"
systemctl $user start $unit
equal "and come back once more" "$(state always; state kept)" "running
running"
"$engine" system disable
equal "nothing is left of the unit" "$(ls "$place" | grep -c "^$unit" || :)" 0
equal "what runs goes on" "$(state always)" running
launched "$engine" rm -f always kept stopped once
rm -rf "$work"

if [ "$(id -u)" = 0 ]; then
    loginctl enable-linger devoxx-test
    systemd-run --quiet --wait --pipe --collect -M devoxx-test@ --user "$self" "$engine"
    echo "ok: all of it, as root and as an ordinary user"
fi
