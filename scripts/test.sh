#!/usr/bin/env bash
# All tests: everything in build/, the unit and integration tests under ASan+UBSan, the unit tests under TSan (libgomp,
# which ggml uses, is not built for TSan), under qemu-user the arm64 unit tests of what depends on the architecture.
# When asked for: the whole arm64 build under qemu-user, llama.cpp included.
#
#   scripts/test.sh [release|asan|tsan|aarch64-units|aarch64]...    only these (default: all but aarch64)
#
# Invariant: every suite runs, the exit code is non-zero if any failed, and ctest's own verdicts stand at the end.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

failed=0
verdicts=()

# run_suite name folder ctest-arguments...: where the kernel allows it without address randomization, which the thread
# sanitizer of Debian 12 does not stand with many random bits.
run_suite() {
    local name=$1 folder=$2 fixed=() output
    shift 2
    setarch "$(uname -m)" -R true 2>/dev/null && fixed=(setarch "$(uname -m)" -R)
    [ "$name" = tsan ] || fixed=()
    output=$folder/ctest.log
    "${fixed[@]}" ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" --no-tests=error "$@" </dev/null 2>&1 \
        | tee "$output" || failed=1
    verdicts+=("$name: $(grep -E 'tests passed|No tests were found' "$output" || echo 'ctest did not finish')")
}

build_and_run() {
    local name=$1 folder=$2
    shift
    if "$repo/scripts/build.sh" "$name"; then
        run_suite "$name" "$@"
    else
        failed=1
        verdicts+=("$name: the build failed")
    fi
}

# On a board the release suite is the arm64 one.
nothing_to_emulate() {
    [ "$(uname -m)" = aarch64 ] || return 1
    verdicts+=("$1: nothing to emulate, this machine is one; its tests are the suite 'release'")
}

aarch64() {
    if nothing_to_emulate aarch64; then
        return
    elif "$repo/scripts/build.sh" release; then # its texts are the reference
        build_and_run aarch64 "$repo/build-aarch64"
    else
        failed=1
        verdicts+=("aarch64: the release build, which it is compared with, failed")
    fi
}

[ $# -gt 0 ] || set -- release asan tsan aarch64-units
for suite in "$@"; do
    case $suite in
        release)
            "$repo/scripts/setup.sh" test || failed=1
            build_and_run release "$repo/build"
            ;;
        asan) build_and_run asan "$repo/build-asan" -L "unit|integration" ;;
        tsan) build_and_run tsan "$repo/build-tsan" -L unit ;;
        aarch64-units) nothing_to_emulate "$suite" || build_and_run "$suite" "$repo/build-$suite" -L arch ;;
        aarch64) aarch64 ;;
        *) die "no suite '$suite' (release, asan, tsan, aarch64-units, aarch64)" ;;
    esac
done

echo
printf '%s\n' "${verdicts[@]}"
exit "$failed"
