# Sourced by every end-to-end test: stock llama.cpp programs with our plugin against the emulator.
# shellcheck shell=bash
#
# Invariant: a test has its own scratch folder, its own emulated NPU and its own lock file, so tests cannot meet; all it
# starts is stopped when it ends. What is compared is printed before the verdict.
#
# Environment, set by ctest: PLUGIN, EMULATOR, POOR_RUNTIMES (folder with old/ and broken/), LLAMA_BIN, MODELS, TOOL
# (rknpu-make-outliers), WORK (where scratch folders are made).
set -Eeuo pipefail

name=$(basename "$0" .sh)
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$repo/build
: "${PLUGIN:=$build/src/backend/libggml-rknpu.so}" "${EMULATOR:=$build/emulator/librknnrt.so}"
: "${POOR_RUNTIMES:=$build/emulator}" "${MODELS:=$repo/models}" "${TOOL:=$build/tools/outliers/rknpu-make-outliers}"
: "${LLAMA_BIN:=$("$repo/scripts/llama-cpp.sh")}" "${WORK:=${TMPDIR:-/tmp}}"

scratch=$(mktemp -d "$WORK/e2e-$name.XXXXXX")
background=()

finish() {
    local status=$? pid
    for pid in "${background[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    if [ "$status" -eq 0 ]; then rm -rf "$scratch"; else echo "kept for a look: $scratch"; fi
}
trap 'echo "FAILED: ${BASH_SOURCE[0]} line $LINENO: $BASH_COMMAND" >&2' ERR
trap finish EXIT

# The variables of a user's shell must not change a test.
for variable in $(compgen -v | grep -E '^(GGML_RKNPU_|RKNN_EMU_|GGML_BACKEND_PATH$|LLAMA_ARG_)' || true); do unset "$variable"; done
export RKNN_EMU_NPU=$scratch/npu GGML_RKNPU_LOCK=$scratch/lock GGML_RKNPU_STORE=off # no file of an older build

# Threads of ggml spin while the NPU works, and the emulated NPU needs the cores they spin on: with two on two cores
# perplexity.sh took 73 s of CPU time instead of 13 (measured here). greedy.sh and speed.sh take two.
threads=(-t 1)
dense=$MODELS/tiny-gemma3-f16.gguf
moe=$MODELS/tiny-gemma4-moe-f16.gguf
text=$MODELS/eval.txt
greedy=(-f "$MODELS/prompt.txt" -n 64 --temp 0 --seed 1 -no-cnv --no-display-prompt "${threads[@]}")

on_cpu() { "$@"; }
on_npu() { env GGML_BACKEND_PATH="$PLUGIN" GGML_RKNPU_RUNTIME="${RUNTIME-$EMULATOR}" "$@"; }

# write_text <on_cpu|on_npu> <label> [llama-completion arguments]: text in $scratch/<label>.txt, log in <label>.log, and
# the exit code in $code. Settings are exported, or stand as assignments in front of the call.
#
# $seconds limits a run (120 without it).
# llama.cpp v0.5.0 writes text and log from one queue in a thread that it does not wait for at exit, so now and then the
# end of both is lost (measured here on its CPU backend alone: 3 of 60 runs, more with -v). A run whose log lacks the last
# report is therefore repeated: its text is not all there.
write_text() {
    local where=$1 label=$2 attempt
    shift 2
    for attempt in 1 2 3 4 5 6; do
        code=0
        "$where" timeout "${seconds:-120}" "$LLAMA_BIN/llama-completion" "${greedy[@]}" "$@" \
            >"$scratch/$label.txt" 2>"$scratch/$label.log" </dev/null || code=$?
        if [ "$code" -ne 0 ] || grep -q 'graphs reused' "$scratch/$label.log"; then return 0; fi
        echo "$label: the end of llama.cpp's output was lost at its exit; attempt $((attempt + 1))"
    done
    fail "$label: llama.cpp lost the end of its output again and again"
}

# The plugin's own lines of a log, without llama.cpp's prefix.
lines_of() { sed -n 's/^.*\(rknpu: \)/\1/p' "$scratch/$1.log"; }

# On stderr, for a function whose output is captured may call it too.
fail() {
    trap - ERR
    echo "FAILED: $*" >&2
    exit 1
}
pass() { echo "ok: $*"; }

# expect_text label reference: the generated text is the same, and it is a text.
expect_text() {
    [ "$(wc -w <"$scratch/$2.txt")" -gt 10 ] || fail "the reference text '$2' is no text: $(head -c 200 "$scratch/$2.txt")"
    cmp -s "$scratch/$1.txt" "$scratch/$2.txt" \
        || { diff "$scratch/$2.txt" "$scratch/$1.txt" | head -n 6; fail "$1: the text differs from that of $2"; }
    pass "$1: $(wc -c <"$scratch/$1.txt") bytes of greedy text, equal to $2"
}

# expect_same_beginning label reference: for texts whose end may be lost (see write_text); at least 100 bytes are compared.
expect_same_beginning() {
    local bytes other
    bytes=$(wc -c <"$scratch/$1.txt")
    other=$(wc -c <"$scratch/$2.txt")
    [ "$bytes" -le "$other" ] || bytes=$other
    [ "$bytes" -ge 100 ] || fail "$1, $2: only $bytes bytes of text to compare"
    cmp -s -n "$bytes" "$scratch/$1.txt" "$scratch/$2.txt" || fail "the texts of $1 and $2 differ in the first $bytes bytes"
    pass "$1: $bytes bytes of greedy text, equal to $2"
}

# expect_line label regex: the plugin said it.
expect_line() {
    local said=$scratch/$1.said line
    lines_of "$1" >"$said" # a file: with pipefail a reader that stops early would fail the pipe
    line=$(grep -m 1 -iE "$2" "$said") || { sed -n 1,20p "$said"; fail "$1: no 'rknpu:' line matches '$2'"; }
    pass "$1: $line"
}

# counter label counter: a counter of the emulator from $scratch/<label>.json (RKNN_EMU_STATS).
counter() {
    local value
    value=$(tr -d '\n' <"$scratch/$1.json" | grep -oE "\"$2\" *: *[0-9]+" | sed -n '1s/.*[^0-9]//p' | grep .) \
        || fail "$1: the emulator's statistics have no $2"
    echo "$value"
}

# expect <description> <number> <operator of awk> <number>
expect() {
    [[ $2 =~ ^-?[0-9.]+$ && $4 =~ ^-?[0-9.]+$ ]] || fail "$1: '$2' or '$4' is not a number"
    awk -v a="$2" -v b="$4" "BEGIN { exit !(a $3 b) }" || fail "$1: $2 is not $3 $4"
    pass "$1: $2 $3 $4"
}

perplexity() { # <on_cpu|on_npu> model chunks -> the final estimate; repeated if llama.cpp lost it (see write_text)
    local where=$1 model=$2 chunks=$3 log attempt
    log=$(mktemp "$scratch/perplexity.XXXXXX")
    for attempt in 1 2 3 4; do
        "$where" timeout 280 "$LLAMA_BIN/llama-perplexity" -m "$model" -f "$text" -c 512 -b 2048 --chunks "$chunks" \
            "${threads[@]}" >"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; return 1; }
        if sed -n 's/.*Final estimate: PPL = \([0-9.]*\).*/\1/p' "$log" | grep .; then return 0; fi
        echo "the end of llama.cpp's output was lost at its exit; attempt $((attempt + 1))" >&2
    done
    return 1
}

# relative a b: |a - b| / b in percent
relative() { awk -v a="$1" -v b="$2" 'BEGIN { d = a / b - 1; printf "%.4f", 100 * (d < 0 ? -d : d) }'; }

# start label program...: in the background with stderr and stdout in <label>.log; its id in $started
start() {
    local label=$1
    shift
    "$@" >"$scratch/$label.log" 2>&1 </dev/null &
    started=$!
    background+=("$started")
}

# A port nobody listens on now. Two tests do not run at once (RESOURCE_LOCK), so it stays free long enough.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# wait_for seconds command...: until the command succeeds
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $*"
        sleep 0.1
    done
}
