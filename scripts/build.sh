#!/usr/bin/env bash
# Builds llama.cpp (once, cached) and then one preset of this project.
#
#   scripts/build.sh [release|dev|asan|tsan|aarch64|aarch64-units|bench]   into build/ for release, build-<preset>/ otherwise
#   scripts/build.sh release --no-tests   only the plugin, the emulator and the command rknpu
#                               aarch64-units: arm64 without llama.cpp, only the tests of what depends on the architecture
#   scripts/build.sh --paths    PLUGIN=, EMULATOR= and LLAMA_BIN= of the release build on stdout
#
# Invariant: with --paths stdout holds these three lines and nothing else; all progress goes to stderr.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build_preset() {
    local preset=$1 folder=$2 log status=0
    local targets=("${@:3}")
    if command -v ccache >/dev/null; then
        export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
        export CCACHE_BASEDIR=$repo CCACHE_NOHASHDIR=1 # a second clone of the repository hits the same entries
    fi
    mkdir -p "$folder"
    log=$folder/build.log
    (
        cd "$repo" && cmake --preset "$preset" -DLLAMA_CPP_BIN="$llama_bin" -DLLAMA_CPP_SOURCE="$llama_source" \
            && cmake --build --preset "$preset" "${targets[@]/#/--target=}"
    ) 2>&1 </dev/null | tee "$log" | show_progress "building $preset" || status=$?
    [ "$status" -eq 0 ] || { grep -E -A 5 'FAILED|error:|Error' "$log" | head -n 40 >&2 || tail -n 20 "$log" >&2
                             die "the $preset build failed; whole log: $log"; }
    ! grep -q 'Building\|Linking' "$log" || say "built $preset in $(basename "$folder")/"
}

main() {
    local preset=${1:-release} folder=$repo/build
    local for_arch=() targets=()
    case ${2:-} in
        '') ;;
        --no-tests) targets=(ggml-rknpu rknnrt-emulator rknpu) ;;
        *) die "scripts/build.sh: '$2' is not known; --no-tests is" ;;
    esac
    case $preset in
        release) ;;
        dev | asan | tsan | bench) folder=$repo/build-$preset ;;
        aarch64) folder=$repo/build-$preset for_arch=(--arch aarch64) ;;
        aarch64-units) folder=$repo/build-$preset for_arch=(--arch aarch64) ;;
        *) die "no preset '$preset' (release, dev, asan, tsan, aarch64, aarch64-units, bench)" ;;
    esac
    "$repo/scripts/setup.sh" "${for_arch[@]:1}"
    llama_bin="" llama_source=""
    [ "$preset" != aarch64-units ] || { build_preset "$preset" "$folder"; return; }
    llama_bin=$("$repo/scripts/llama-cpp.sh" "${for_arch[@]}")
    llama_source=$("$repo/scripts/llama-cpp.sh" --source)
    build_preset "$preset" "$folder" "${targets[@]}"
}

if [ "${1:-}" = --paths ]; then
    [ -f "$(plugin_of "$repo/build")" ] && [ -f "$(emulator_of "$repo/build")" ] || main release --no-tests >&2
    llama_bin=$("$repo/scripts/llama-cpp.sh")
    printf 'PLUGIN=%q\nEMULATOR=%q\nLLAMA_BIN=%q\n' \
        "$(plugin_of "$repo/build")" "$(emulator_of "$repo/build")" "$llama_bin"
else
    main "$@"
fi
