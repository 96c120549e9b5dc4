#!/usr/bin/env bash
# What plain CMake says where there is no llama.cpp, or none that will do: one line with the cure, never a build that
# silently lacks the plugin.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
unset LLAMA_CPP_SOURCE_DIR

# expect outcome text arguments...: configures (in one folder, for the compiler is examined once) with an empty cache.
expect() {
    local outcome=$1 text=$2 got=succeeds
    shift 2
    GGML_RKNPU_CACHE=$work/cache cmake -S "$repo" -B "$work/build" -DRKNPU_BUILD_TESTS=OFF "$@" >"$work/log" 2>&1 </dev/null \
        || got=fails
    # CMake breaks lines where it likes.
    tr -s ' \n' ' ' <"$work/log" >"$work/words"
    [ "$got" = "$outcome" ] && grep -qF -e "$text" "$work/words" && return
    printf 'cmake %s: %s, expected: %s, with "%s"\n' "$*" "$got" "$outcome" "$text"
    cat "$work/log"
    failed=1
}

expect fails 'not built yet; run scripts/llama-cpp.sh'
expect fails 'fetches and builds the pinned one, once; then configure again'
expect fails '-DRKNPU_BUILD_PLUGIN=OFF without the plugin'
[ ! -e "$work/cache" ] || { echo "configuring wrote to the cache"; failed=1; }
expect fails 'is not a llama.cpp checkout (no ggml/src/ggml-backend-impl.h)' -DLLAMA_CPP_SOURCE="$work/none"
mkdir -p "$work/llama/ggml/src"
touch "$work/llama/ggml/src/ggml-backend-impl.h"
expect fails '/llama/build/bin'"'"' has no libggml-base.so; build that llama.cpp with -DGGML_BACKEND_DL=ON' \
    -DLLAMA_CPP_SOURCE="$work/llama"
expect succeeds 'RKNPU_BUILD_PLUGIN is off: no plugin' -DRKNPU_BUILD_PLUGIN=OFF
[ "$failed" -eq 0 ] && echo "every configuration said what it lacks"
exit "$failed"
