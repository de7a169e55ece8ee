#!/usr/bin/env bash
# Makes what the end-to-end tests need: images in the storage of a registry, a root directory, a user for rootless.
# Quick when it is all there. It needs root (asks sudo for it) and, the first time, the mirror of the machine's apt.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  exec sudo env "PATH=$PATH" ${CARGO_TARGET_DIR:+"CARGO_TARGET_DIR=$CARGO_TARGET_DIR"} "$0" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/testkit
user=devoxx-test

need() { # need PROGRAM PACKAGE
  command -v "$1" >/dev/null || missing+=("$2")
}
missing=()
need busybox busybox-static; need umoci umoci; need skopeo skopeo; need debootstrap debootstrap; need jq jq
need docker-registry docker-registry; need curl curl; need zstd zstd; need nsenter util-linux; need setpriv util-linux
need newuidmap uidmap; need nft nftables; need ip iproute2; need pasta passt; need flock util-linux; need perl perl-base
if [ ${#missing[@]} != 0 ]; then
  echo "fixtures.sh: missing, do: apt-get install ${missing[*]}" >&2
  exit 1
fi

# A user with ranges of subordinate ids, for the tests without root.
id "$user" >/dev/null 2>&1 || useradd --no-create-home --home-dir /nonexistent --shell /bin/sh "$user"
grep -q "^$user:" /etc/subuid 2>/dev/null || usermod --add-subuids 3000000-3065535 "$user"
grep -q "^$user:" /etc/subgid 2>/dev/null || usermod --add-subgids 3000000-3065535 "$user"

mkdir -p "$out"
chmod 755 "$out"
exec 9>"$out/lock"
flock 9
stamp=$(sha256sum <"tests/fixtures.sh" | cut -d' ' -f1)
[ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
echo "fixtures.sh: making images in $out" >&2
rm -rf "$out/stamp" "$out/registry" "$out/rootfs" "$out/htpasswd"
work=$(mktemp -d "$out/work.XXXXXX")
registry=
finish() {
  [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# --- root directories -----------------------------------------------------------------------------------------------
busybox_tree() { # busybox_tree DIR
  mkdir -p "$1"/{bin,sbin,usr/bin,usr/sbin,etc,root,home/app,tmp,var/tmp,proc,sys,dev}
  chmod 1777 "$1/tmp" "$1/var/tmp"
  cp "$(command -v busybox)" "$1/bin/busybox"
  chroot "$1" /bin/busybox --install -s /bin
  printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'daemon:x:1:1:daemon:/usr/sbin:/bin/false' \
    'app:x:1000:1000:app:/home/app:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/false' >"$1/etc/passwd"
  printf '%s\n' 'root:x:0:' 'daemon:x:1:' 'app:x:1000:' 'extra:x:2000:app' 'nogroup:x:65534:' >"$1/etc/group"
  chown 1000:1000 "$1/home/app"
}

debian_tree() { # debian_tree: prints the path of a tar file, kept between versions of this script
  local kept=$out/debian-12.tar
  if [ ! -f "$kept" ]; then
    local mirror
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
      grep -oE 'https?://[^ ]*/debian/?( |$)' | head -n1 | tr -d ' ') || true
    debootstrap --variant=minbase bookworm "$work/debian" "${mirror:-http://deb.debian.org/debian}" >"$out/debootstrap.log" 2>&1 ||
      { tail -n 20 "$out/debootstrap.log" >&2; return 1; }
    rm -rf "$work"/debian/var/cache/apt/archives/*.deb "$work"/debian/var/lib/apt/lists/*
    tar -C "$work/debian" --numeric-owner -cf "$kept.part" .
    mv "$kept.part" "$kept"
    rm -rf "$work/debian"
  fi
  echo "$kept"
}

# --- images by hand, where a tool would choose the compression or refuse the contents --------------------------------
layout=$work/oci
put_blob() { # put_blob FILE: into the layout; prints "DIGEST SIZE"
  local hex
  hex=$(sha256sum <"$1" | cut -d' ' -f1)
  cp "$1" "$layout/blobs/sha256/$hex"
  echo "sha256:$hex $(stat -c %s "$1")"
}

layer_image() { # layer_image NAME ARCH MEDIATYPE TAR FILE: one layer FILE, which is TAR packed; writes $work/NAME.manifest
  local diff digest size
  diff=sha256:$(sha256sum <"$4" | cut -d' ' -f1)
  jq -n --arg arch "$2" --arg diff "$diff" '{architecture: $arch, os: "linux",
    config: {Cmd: ["/bin/sh"], Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
    rootfs: {type: "layers", diff_ids: [$diff]}}' >"$work/config.json"
  read -r config config_size < <(put_blob "$work/config.json")
  read -r digest size < <(put_blob "$5")
  jq -n --arg c "$config" --argjson cs "$config_size" --arg d "$digest" --argjson s "$size" --arg t "$3" '{schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs},
    layers: [{mediaType: $t, digest: $d, size: $s}]}' >"$work/$1.manifest"
}

push_blob() { # push_blob REPOSITORY DIGEST
  local place
  place=$(curl -sSf -D- -o /dev/null -X POST "$url/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -sSf -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' \
    --data-binary @"$layout/blobs/sha256/${2#sha256:}" "$place&digest=$2"
}

push_manifest() { # push_manifest REPOSITORY TAG FILE
  curl -sSf -o /dev/null -X PUT -H "Content-Type: $(jq -r .mediaType "$3")" --data-binary @"$3" "$url/v2/$1/manifests/$2"
}

push_image() { # push_image REPOSITORY TAG MANIFEST
  local digest
  for digest in $(jq -r '.config.digest, .layers[].digest' "$3"); do push_blob "$1" "$digest"; done
  push_manifest "$1" "$2" "$3"
}

gzip_image() { # gzip_image NAME ARCH TAR
  gzip -nc "$3" >"$work/$1.gz"
  layer_image "$1" "$2" application/vnd.oci.image.layer.v1.tar+gzip "$3" "$work/$1.gz"
}

# --- a registry on a free port of loopback ---------------------------------------------------------------------------
start_registry() {
  mkdir -p "$out/registry"
  local port
  for _ in $(seq 20); do
    port=$((20000 + RANDOM % 20000))
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: "%s"}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
      "$out/registry" "$port" >"$work/registry.yml"
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 9>&- &
    registry=$!
    url=http://127.0.0.1:$port
    while kill -0 "$registry" 2>/dev/null; do
      curl -sf -o /dev/null "$url/v2/" && return
      sleep 0.1
    done
  done
  cat "$work/registry.log" >&2
  return 1
}

skopeo_push() { # skopeo_push TAG-OF-LAYOUT REPOSITORY:TAG [OPTION...]
  skopeo copy -q --dest-tls-verify=false "${@:3}" "oci:$work/umoci:$1" "docker://${url#http://}/$2"
}

# --- the images -------------------------------------------------------------------------------------------------------
make_busybox() {
  busybox_tree "$out/rootfs/busybox"
  umoci init --layout "$work/umoci"
  umoci new --image "$work/umoci:busybox"
  umoci unpack --image "$work/umoci:busybox" "$work/bundle"
  cp -a "$out/rootfs/busybox/." "$work/bundle/rootfs/"
  umoci repack --image "$work/umoci:busybox" "$work/bundle"
  umoci config --image "$work/umoci:busybox" --config.cmd /bin/sh --config.env PATH=/usr/sbin:/usr/bin:/sbin:/bin
  umoci config --image "$work/umoci:busybox" --tag config --config.env GREETING=hello --config.entrypoint /bin/echo \
    --config.entrypoint from-entrypoint --config.cmd from-cmd --config.user app --config.workingdir /home/app/work \
    --config.volume /data --config.stopsignal SIGINT --config.exposedports 8080/tcp --config.label subject=config
  skopeo_push busybox busybox:latest
  skopeo_push config team/config:1
  skopeo_push busybox team/docker:1 --format v2s2
}

# Four layers: the base, files on top, removals (a file and a directory), and an opaque directory.
make_debian() {
  local tree
  tree=$(debian_tree)
  umoci new --image "$work/umoci:debian"
  umoci unpack --image "$work/umoci:debian" "$work/deb"
  tar -C "$work/deb/rootfs" --numeric-owner -xpf "$tree"
  umoci repack --refresh-bundle --image "$work/umoci:debian" "$work/deb"
  mkdir -p "$work"/deb/rootfs/opt/app/{doomed,kept,opaque}
  echo second >"$work/deb/rootfs/opt/app/second"
  echo doomed >"$work/deb/rootfs/opt/app/doomed/file"
  echo hidden >"$work/deb/rootfs/opt/app/opaque/hidden"
  echo kept >"$work/deb/rootfs/opt/app/kept/file"
  ln "$work/deb/rootfs/opt/app/kept/file" "$work/deb/rootfs/opt/app/kept/hardlink"
  umoci repack --refresh-bundle --image "$work/umoci:debian" "$work/deb"
  rm -r "$work/deb/rootfs/opt/app/doomed" "$work/deb/rootfs/etc/issue"
  echo third >"$work/deb/rootfs/opt/app/third"
  umoci repack --image "$work/umoci:debian" "$work/deb"
  mkdir -p "$work/opaque/opt/app/opaque"
  touch "$work/opaque/opt/app/opaque/.wh..wh..opq"
  echo shown >"$work/opaque/opt/app/opaque/shown"
  tar -C "$work/opaque" --numeric-owner --owner=0 --group=0 -cf "$work/opaque.tar" opt
  umoci raw add-layer --image "$work/umoci:debian" "$work/opaque.tar"
  umoci config --image "$work/umoci:debian" --config.cmd /bin/bash \
    --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  skopeo_push debian debian:12
}

make_forms() { # the same files in other packings, and for other processors
  local tar=$work/busybox.tar arch manifest entries=
  tar -C "$out/rootfs/busybox" --numeric-owner --sort=name -cf "$tar" .
  zstd -q "$tar" -o "$tar.zst"
  layer_image zstd amd64 application/vnd.oci.image.layer.v1.tar+zstd "$tar" "$tar.zst"
  push_image team/zstd 1 "$work/zstd.manifest"
  layer_image plain amd64 application/vnd.oci.image.layer.v1.tar "$tar" "$tar"
  push_image team/plain 1 "$work/plain.manifest"
  for arch in amd64 arm64; do
    mkdir -p "$work/$arch/etc"
    echo "$arch" >"$work/$arch/etc/arch"
    cp "$tar" "$work/$arch.tar"
    tar -C "$work/$arch" --numeric-owner --owner=0 --group=0 -rf "$work/$arch.tar" ./etc/arch
    gzip_image "$arch" "$arch" "$work/$arch.tar"
    push_image team/index "$arch" "$work/$arch.manifest"
    manifest=$(sha256sum <"$work/$arch.manifest" | cut -d' ' -f1)
    entries+=$(jq -nc --arg a "$arch" --arg d "sha256:$manifest" --argjson s "$(stat -c %s "$work/$arch.manifest")" '{
      mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s, platform: {os: "linux", architecture: $a}}')
  done
  jq -s '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: .}' <<<"$entries" >"$work/index.json"
  push_manifest team/index 1 "$work/index.json"
  push_image team/arm64 1 "$work/arm64.manifest"
}

# As many layers as docker allows: one with the programs, 126 with a file each.
make_many() {
  local tar number digest size diffs=() layers=()
  mkdir -p "$work/many/n"
  for number in $(seq 0 126); do
    tar=$work/busybox.tar
    if [ "$number" != 0 ]; then
      tar=$work/many.tar
      rm -f "$work"/many/n/*
      echo "$number" >"$work/many/n/$number"
      tar -C "$work/many" --numeric-owner --owner=0 --group=0 -cf "$tar" "n/$number"
    fi
    read -r digest size < <(put_blob "$tar")
    diffs+=("$digest")
    layers+=("{\"mediaType\": \"application/vnd.oci.image.layer.v1.tar\", \"digest\": \"$digest\", \"size\": $size}")
  done
  printf '"%s"\n' "${diffs[@]}" | jq -s '{architecture: "amd64", os: "linux",
    config: {Cmd: ["/bin/sh"], Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}, rootfs: {type: "layers", diff_ids: .}}' >"$work/config.json"
  read -r digest size < <(put_blob "$work/config.json")
  printf '%s\n' "${layers[@]}" | jq -s --arg c "$digest" --argjson cs "$size" '{schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs}, layers: .}' >"$work/many.manifest"
  push_image team/many 1 "$work/many.manifest"
}

# Layers that try to leave the root. Each would make or change a file named "devoxx-escaped" outside.
make_evil() {
  mkdir -p "$work/evil"
  echo escaped >"$work/evil/devoxx-escaped"
  ln -s /tmp "$work/evil/link"
  ln "$work/evil/devoxx-escaped" "$work/evil/hard"
  local with=(tar -C "$work/evil" -P --numeric-owner --owner=0 --group=0)
  "${with[@]}" --transform='s,^,../../../../../../../../tmp/,' -cf "$work/dotdot.tar" devoxx-escaped
  "${with[@]}" -cf "$work/symlink.tar" link
  "${with[@]}" --transform='s,^,link/,' -rf "$work/symlink.tar" devoxx-escaped
  "${with[@]}" --transform='flags=RSh;s,.*,../../../../../../etc/hostname,' -cf "$work/hardlink.tar" devoxx-escaped hard
  head -c 4096 /dev/urandom >"$work/noise.tar"
  gzip_image evil-dotdot amd64 "$work/dotdot.tar"
  gzip_image evil-symlink amd64 "$work/symlink.tar"
  gzip_image evil-hardlink amd64 "$work/hardlink.tar"
  gzip_image evil-noise amd64 "$work/noise.tar"
  local name
  for name in dotdot symlink hardlink noise; do push_image "team/evil-$name" 1 "$work/evil-$name.manifest"; done
}

mkdir -p "$layout/blobs/sha256"
start_registry
make_busybox
make_debian
make_forms
make_many
make_evil
kill "$registry"
wait "$registry" 2>/dev/null || true
registry=
# Name "tester", password "open sesame".
printf 'tester:%s\n' "$(perl -e 'print crypt("open sesame", q($2y$05$devoxxdevoxxdevoxxdevu))')" >"$out/htpasswd"
chmod -R a+rX "$out/rootfs" "$out/registry"
echo "$stamp" >"$out/stamp"
