#!/usr/bin/env bash
# Targets under libFuzzer, each for MINUTES (60), JOBS of them (as many as there are processors) at a time: what is new is kept in corpus/, what was
# run is added to runs.md. Words choose targets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
corpus=${CARGO_TARGET_DIR:-target}/debug/corpus
cargo build -q --workspace --bins
# Without a nightly compiler, the flags of one are asked of the compiler that there is.
if rustup toolchain list 2>/dev/null | grep -q ^nightly; then toolchain=+nightly; else
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi
command -v cargo-fuzz >/dev/null || cargo install -q --locked cargo-fuzz
mkdir -p "$work/logs"
fuzz() {
    cargo $toolchain fuzz "$1" --fuzz-dir fuzz/libfuzzer --target-dir "$work/build" "${@:2}" </dev/null
}

# One target, from its corpus back to it: `one TARGET LONGEST MEMORY`.
one() {
    local target=$1 log
    log=$work/logs/$target.log
    mkdir -p "$work/artifacts/$target"
    "$corpus" unpack "$target" "$work/corpus/$target"
    # On a machine that others use an input may wait; `report_slow_units` says what really is slow.
    fuzz run "$target" "$work/corpus/$target" -- -max_total_time=$((60 * ${MINUTES:-60})) -max_len="$2" -malloc_limit_mb="$3" \
        -rss_limit_mb=1024 -timeout="${TIMEOUT:-20}" -report_slow_units=1 -print_final_stats=1 -dict="$work/corpus/$target.dict" \
        -artifact_prefix="$work/artifacts/$target/" >"$log" 2>&1 || { echo "$target: see $log"; tail -n 40 "$log"; return 1; }
    # The fewest inputs that reach the same.
    fuzz cmin "$target" "$work/corpus/$target" >"$work/logs/$target.cmin" 2>&1 || { tail -n 20 "$work/logs/$target.cmin"; return 1; }
    "$corpus" pack "$target" "$work/corpus/$target"
    flock "$work/logs" "$corpus" add "$target" "$log" fuzz/runs.md
}

fuzz build >"$work/logs/build" 2>&1 || { tail -n 40 "$work/logs/build"; exit 1; }
export -f fuzz one
export work corpus toolchain
"$corpus" targets | while read -r target limits; do
    [ $# = 0 ] || [[ " $* " = *" $target "* ]] || continue
    echo "$target $limits"
done | xargs -P "${JOBS:-$(nproc)}" -L 1 bash -euc 'one "$@"' one
