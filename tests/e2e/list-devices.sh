#!/usr/bin/env bash
# The device shows up in stock llama.cpp, and nothing at all changes where there is no NPU and no emulator is asked for.
source "$(dirname "$0")/common.sh"

on_npu "$LLAMA_BIN/llama-completion" --list-devices >"$scratch/list.log" 2>&1
grep -qE '^ *RKNPU0: ' "$scratch/list.log" || { cat "$scratch/list.log"; fail "--list-devices has no RKNPU0"; }
pass "$(grep -E '^ *RKNPU0: ' "$scratch/list.log")"

if grep -aq 'rockchip,rk' /proc/device-tree/compatible 2>/dev/null; then
    echo "this is a Rockchip board: the test without an NPU does not apply"
    exit 0
fi
env GGML_BACKEND_PATH="$PLUGIN" "$LLAMA_BIN/llama-completion" --list-devices >"$scratch/none.log" 2>&1
! grep -q RKNPU0 "$scratch/none.log" || fail "RKNPU0 is listed although there is no NPU"

write_text on_cpu cpu -m "$dense"
no_runtime() { env GGML_BACKEND_PATH="$PLUGIN" "$@"; }
write_text no_runtime silent -m "$dense" -v
expect "exit code without an NPU" "$code" == 0
expect_text silent cpu
expect "lines about it at verbose level" "$(lines_of silent | wc -l)" == 1
no_runtime "$LLAMA_BIN/llama-completion" "${greedy[@]}" -n 2 -m "$dense" >/dev/null 2>"$scratch/quiet.log" </dev/null
expect "lines about it otherwise" "$(lines_of quiet | wc -l)" == 0
