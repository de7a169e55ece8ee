#!/usr/bin/env bash
# Each target under libFuzzer, one after the other, for MINUTES (60): what is new is kept in corpus/, what was run is told in runs.md.
# Words choose targets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=${CARGO_TARGET_DIR:-target}/fuzz
cargo build -q -p devoxx-fuzz
corpus=${CARGO_TARGET_DIR:-target}/debug/corpus
# Without a nightly compiler, the flags of one are asked of the compiler that there is.
if rustup toolchain list 2>/dev/null | grep -q ^nightly; then toolchain=+nightly; else
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi
command -v cargo-fuzz >/dev/null || cargo install -q --locked cargo-fuzz
mkdir -p "$work/logs"
"$corpus" targets | while read -r target longest memory; do
    [ $# = 0 ] || [[ " $* " = *" $target "* ]] || continue
    echo "$target: ${MINUTES:-60} minutes"
    mkdir -p "$work/artifacts/$target"
    "$corpus" unpack "$target" "$work/corpus/$target"
    log=$work/logs/$target-$(date +%Y%m%dT%H%M%S).log
    fuzz() {
        cargo $toolchain fuzz "$1" --fuzz-dir fuzz/libfuzzer --target-dir "$work/build" "$target" "${@:2}" </dev/null
    }
    # On a machine that others use an input may wait; `report_slow_units` says what really is slow.
    fuzz run "$work/corpus/$target" -- -max_total_time=$((60 * ${MINUTES:-60})) -max_len="$longest" -malloc_limit_mb="$memory" \
        -rss_limit_mb=1024 -timeout=20 -report_slow_units=1 -print_final_stats=1 -dict="$work/corpus/$target.dict" \
        -artifact_prefix="$work/artifacts/$target/" >"$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
    tail -n 8 "$log"
    # The fewest inputs that reach the same.
    fuzz cmin "$work/corpus/$target" >"$work/cmin.log" 2>&1 || { tail -n 20 "$work/cmin.log"; exit 1; }
    "$corpus" pack "$target" "$work/corpus/$target"
    "$corpus" publish "$work/logs" fuzz/runs.md
done
