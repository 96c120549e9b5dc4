#!/usr/bin/env bash
# rknpu bench with stock llama-bench on the emulator: work per token, and nothing that looks like a board's speed.
source "$(dirname "$0")/common.sh"

: "${RKNPU:=$build/tools/rknpu/rknpu}"
export GGML_RKNPU_RUNTIME=$EMULATOR
timeout 100 "$RKNPU" bench "$dense" -p 64 -n 16 --threads 1 --format w8a8 --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" \
    -o "$scratch/bench.json" >"$scratch/table" 2>"$scratch/log" </dev/null || { cat "$scratch/log"; fail "rknpu bench failed"; }
cat "$scratch/table"
grep -q '^EMULATED: no board was used' "$scratch/table" || fail "the table does not say that it is emulated"
value() { # phase key
    grep -A 14 "\"name\": \"$1\"" "$scratch/bench.json" | sed -n "s/.*\"$2\": \([0-9.e+-]*\).*/\1/p" | sed -n 1p
}
# Decoding streams every packed weight once per token: 43 tensors, 6.6 MiB as w8a8 (rknpu plan).
expect "weights streamed per decoded token, bytes" "$(value decode weight_bytes_per_token)" '>' 6600000
expect "weights streamed per decoded token, bytes" "$(value decode weight_bytes_per_token)" '<' 7300000
expect "NPU time per decoded token, us" "$(value decode emulated_npu_us_per_token)" '>' 100
expect "prefill streams less per token" "$(value prefill weight_bytes_per_token)" '<' 700000
! grep -q '"tokens_per_second"' "$scratch/bench.json" || fail "a speed of this PC is called the board's"
