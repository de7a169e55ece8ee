#!/usr/bin/env bash
# What a run of the tests left on this machine: `leaks.sh before FILE`, the tests, `leaks.sh after FILE`.
# "after" prints what is there now and was not before, and what of the machine itself (mounts, links, tables) is gone,
# and fails when there is any. What a killed run left is no reason to fail when this run has tidied it up.
set -euo pipefail

look() {
  # Mounts by place and kind: their ids are new after every remount.
  awk '{ for (i = 7; $i != "-"; i++); print "mount", $5, $(i + 1) }' /proc/1/mountinfo
  find /sys/fs/cgroup -type d -name '*devoxx*' -printf 'cgroup %p\n' 2>/dev/null || :
  ip -o link | awk -F': ' '$2 ~ /^(dvx|devoxx)/ { print "link", $2 }'
  nft list tables 2>/dev/null | grep -i devoxx || :
  local process name
  for process in /proc/[0-9]*; do
    name=$({ tr "\0" " " <"$process/cmdline"; } 2>/dev/null) || continue
    # The first word only: an editor with such a file open is none of ours.
    case "${name%% *}" in
      *devoxx-container | *devoxx-runtime | *docker-registry) echo "process ${process#/proc/} $name" ;;
    esac
  done
  find /tmp /var/tmp /run -maxdepth 1 -name '*devoxx*' -printf 'file %p\n'
}

case "${1:-} ${2:-}" in
  "before "?*) look | LC_ALL=C sort >"$2" ;;
  "after "?*)
    difference=$(look | LC_ALL=C sort | diff "$2" - | grep -E '^(>|< (mount|link|table) )' || :)
    if [ -n "$difference" ]; then
      echo "leaks.sh: the tests left something behind ('>') or took it away ('<'):" >&2
      echo "$difference" >&2
      exit 1
    fi
    ;;
  *)
    echo "usage: leaks.sh before|after FILE" >&2
    exit 2
    ;;
esac
