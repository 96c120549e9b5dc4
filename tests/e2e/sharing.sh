#!/usr/bin/env bash
# Two programs on one NPU: the lock lets both move, a SIGKILL of one frees it, and no (emulated) kernel panic happens.
# Without the lock the panic detector fires, so the silence above means something.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16
export GGML_BACKEND_PATH=$PLUGIN GGML_RKNPU_RUNTIME=$EMULATOR
greedy+=(-t 1) # two programs with two spinning threads each would wait for each other on a small machine

# generate label tokens: llama-completion in the background
generate() {
    RKNN_EMU_STATS=$scratch/$1.json "$LLAMA_BIN/llama-completion" "${greedy[@]}" --ignore-eos -n "$2" -m "$dense" \
        >"$scratch/$1.txt" 2>"$scratch/$1.log" </dev/null &
    started=$!
    background+=("$started")
}
writing() { [ -s "$scratch/$1.txt" ]; }

# Both run to their end and write the same text.
generate left 64
left=$started
generate right 64
right=$started
wait "$left"
wait "$right"
for label in left right; do
    [ "$(wc -w <"$scratch/$label.txt")" -gt 10 ] || fail "$label wrote no text"
    expect "$label: panics" "$(counter "$label" panics)" == 0
    expect "$label: jobs" "$(counter "$label" runs)" '>' 1000
done
expect_same_beginning left right

# One is killed in the middle of its work; the other finishes.
generate killed 1500
victim=$started
generate survivor 64
survivor=$started
wait_for 60 writing killed
wait_for 60 writing survivor
kill -KILL "$victim"
wait "$victim" 2>/dev/null && fail "the victim had ended before it was killed: nothing was shown"
wait "$survivor" || fail "the survivor ended with $?"
expect_same_beginning survivor left
expect "survivor: panics" "$(counter survivor panics)" == 0
expect "survivor: jobs" "$(counter survivor runs)" '>' 1000

# Without the lock two programs do meet on the device; the emulator reports what the vendor's kernel would do.
export GGML_RKNPU_LOCK=off RKNN_EMU_NPU=$scratch/npu-unlocked
generate reckless 400
first=$started
generate careless 400
second=$started
wait "$first" || true
wait "$second" || true
expect "panics without a lock" "$(($(counter reckless panics) + $(counter careless panics)))" '>' 0
