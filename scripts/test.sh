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

# run_suite name folder ctest-arguments...: with what the sanitizers of Debian 12 (GCC 12) need. TSan does not stand
# address randomization of many bits: without it where the kernel allows that. LeakSanitizer takes thread-local memory of
# threads that have ended for living one, and crashes on it at exit in one of forty runs of tests with hung threads
# (measured here, LSAN_OPTIONS=log_threads=1): so it is not told of the thread-local memory of libraries opened later, and
# would take for a leak what only such memory points to.
run_suite() {
    local name=$1 folder=$2 way=() output
    shift 2
    case $name in
        tsan) ! setarch "$(uname -m)" -R true 2>/dev/null || way=(setarch "$(uname -m)" -R) ;;
        asan) way=(env ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}intercept_tls_get_addr=0") ;;
    esac
    output=$folder/ctest.log
    "${way[@]}" ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" --no-tests=error "$@" </dev/null 2>&1 \
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
