#!/usr/bin/env bash
# What a user can get wrong: files, settings, chips. Never an abort, always the exit code of llama.cpp without plugin.
source "$(dirname "$0")/common.sh"

# A truncated model, cut in the header and in the data: the same exit code as without plugin, no signal.
for bytes in 1000 5000000; do
    head -c "$bytes" "$dense" >"$scratch/truncated.gguf"
    write_text on_cpu cpu-truncated -m "$scratch/truncated.gguf"
    expected=$code
    write_text on_npu truncated -m "$scratch/truncated.gguf"
    expect "exit code for a model cut at $bytes bytes, as without plugin" "$code" == "$expected"
    expect "not a signal" "$code" '<' 124
done

export GGML_RKNPU_FORMAT=w16a16
write_text on_cpu cpu -m "$dense"
GGML_RKNPU_FROMAT=w8a8 write_text on_npu typo -m "$dense"
expect "exit code" "$code" == 0
expect_text typo cpu
expect_line typo 'GGML_RKNPU_FROMAT.*GGML_RKNPU_FORMAT'

GGML_RKNPU_FORMAT=w3a7 write_text on_npu format -m "$dense"
expect "exit code" "$code" == 0
expect_line format 'w3a7.*(w16a16|w8a8)'
[ "$(wc -w <"$scratch/format.txt")" -gt 10 ] || fail "no text with a wrong FORMAT"

GGML_RKNPU_TIMEOUT_MS=soon write_text on_npu number -m "$dense"
expect "exit code" "$code" == 0
expect_line number 'TIMEOUT_MS.*soon|soon.*TIMEOUT_MS'

GGML_RKNPU_CHIP=rk3576 write_text on_npu chip -m "$dense"
expect "exit code" "$code" == 0
expect_text chip cpu
expect_line chip 'rk3576'

GGML_RKNPU_LOCK=$scratch/no/such/folder/lock write_text on_npu lock -m "$dense"
expect "exit code" "$code" == 0
expect_text lock cpu
expect_line lock 'lock'

# What is known of another model's activations: one line, and the weights are converted without it.
: "${RKNPU:=$build/tools/rknpu/rknpu}"
export GGML_RKNPU_FORMAT=w8a8
"$LLAMA_BIN/llama-imatrix" -m "$dense" -f "$text" -c 64 --chunks 2 "${threads[@]}" -o "$scratch/other.imatrix" \
    >"$scratch/imatrix.log" 2>&1 </dev/null || fail "llama-imatrix: $(tail -n 3 "$scratch/imatrix.log")"
env GGML_RKNPU_RUNTIME="$EMULATOR" "$RKNPU" calibrate "$dense" "$text" --ctx 64 --chunks 2 --threads "${threads[1]}" \
    --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" -o "$scratch/other.stats" >"$scratch/calibrate.log" 2>&1 </dev/null \
    || fail "rknpu calibrate: $(tail -n 3 "$scratch/calibrate.log")"
for kind in imatrix stats; do
    GGML_RKNPU_STATS=$scratch/other.$kind write_text on_npu "other-$kind" -m "$moe"
    expect "exit code" "$code" == 0
    expect_line "other-$kind" "other.$kind was made with another model.*(llama-imatrix -m|rknpu calibrate)"
    expect "lines about it" "$(lines_of "other-$kind" | grep -c "other.$kind")" == 1
done
# Of the model that they were made with, nothing is said.
for kind in imatrix stats; do
    GGML_RKNPU_STATS=$scratch/other.$kind write_text on_npu "own-$kind" -m "$dense"
    expect "lines about the own $kind" "$(lines_of "own-$kind" | grep -c "other.$kind" || true)" == 0
done
