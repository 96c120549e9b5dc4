# Sourced by the tests of `rknpu fidelity` and `rknpu calibrate` that do without llama.cpp: a scratch folder with a
# pretended model, stand-ins of the programs (fake-llama/), and calls that are checked.
# shellcheck shell=bash
#
# Environment, set by ctest: RKNPU, EMULATOR, WORK.
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/tools.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'echo "FAILED: ${BASH_SOURCE[0]} line $LINENO: $BASH_COMMAND" >&2' ERR
for variable in $(compgen -v | grep -E '^(GGML_RKNPU_|RKNN_EMU_|GGML_BACKEND_PATH$|LLAMA_ARG_|FAKE_)' || true); do unset "$variable"; done
export RKNN_EMU_NPU=$scratch/npu GGML_RKNPU_LOCK=$scratch/lock GGML_RKNPU_RUNTIME=$EMULATOR FAKE_CALLS=$scratch/calls
cd "$scratch"
printf 'GGUF\3\0\0\0%16s' '' | tr ' ' '\0' >model.gguf # version 3, no tensors, no values
{ cat model.gguf && echo 'and other things'; } >reference.gguf
echo 'Some words.' >text.txt
: >plugin.so
: >calls
# shellcheck disable=SC2034
programs=(--llama-bin "$here/fake-llama" --plugin "$scratch/plugin.so")

fail() {
    trap - ERR
    echo "FAILED: $*" >&2
    exit 1
}

# run arguments of rknpu...: output in out and err, exit code in $code, calls of the stand-ins in the file calls
run() {
    : >calls
    code=0
    "$RKNPU" "$@" >out 2>err </dev/null || code=$?
}
expect_code() { [ "$code" -eq "$1" ] || fail "exit code $code, not $1: $(cat err)"; }
expect_error() { # code pattern: a line on stderr says it
    expect_code "$1"
    grep -qE -e "$2" err || fail "no '$2' in: $(cat err)"
    echo "ok: $(grep -E -e "$2" err)"
}
expect_calls() { # lines...: the stand-ins were called so, in this order
    [ "$(cat calls)" = "$(printf '%s\n' "$@")" ] || fail "calls: $(cat calls); expected: $(printf '%s\n' "$@")"
}
no_calls() { [ ! -s calls ] || fail "calls: $(cat calls); none expected"; }
expect_in() { grep -qE -e "$2" "$1" || fail "no '$2' in $1: $(cat "$1")"; }

# interrupt pattern arguments of rknpu...: sends SIGINT once the stand-in's call that matches the pattern is under way.
# $how: HANG, or STUBBORN for a child that ignores it.
interrupt() {
    local pattern=$1 tries=0
    shift
    : >calls
    rm -f calls.pid
    env "FAKE_${how:-HANG}=$pattern" "$RKNPU" "$@" >out 2>err </dev/null &
    local started=$!
    until [ -s calls.pid ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || fail "no call matched $pattern: $(cat calls err)"
        sleep 0.1
    done
    kill -INT "$started"
    code=0
    wait "$started" || code=$?
    expect_code 130
    ! kill -0 "$(cat calls.pid)" 2>/dev/null || fail "the child lives on"
    expect_in err interrupted
}
