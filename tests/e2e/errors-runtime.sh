#!/usr/bin/env bash
# A runtime library that cannot be used: one line with the reason, then the text and the exit code of the CPU.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16

write_text on_cpu cpu -m "$dense"

# unusable label library regex
unusable() {
    RUNTIME=$2 write_text on_npu "$1" -m "$dense"
    expect "exit code" "$code" == 0
    expect_text "$1" cpu
    expect_line "$1" "$3"
}
echo 'not a library' >"$scratch/text.so"
unusable missing "$scratch/nowhere/librknnrt.so" 'nowhere/librknnrt\.so.*(not found|no such file|does not exist)'
unusable text "$scratch/text.so" 'text\.so'
libm=$(ldconfig -p | sed -n 's/.*libm\.so\.6 .*=> //p' | head -n 1)
unusable other "$libm" 'libm\.so.*(symbol|rknn_|not .*runtime)'
unusable old "$POOR_RUNTIMES/old/librknnrt.so" '(too )?old'
unusable broken "$POOR_RUNTIMES/broken/librknnrt.so" 'rknn_matmul_run'
cp "$EMULATOR" "$scratch/noread.so" && chmod 000 "$scratch/noread.so"
if [ "$(id -u)" -ne 0 ]; then unusable noread "$scratch/noread.so" 'permission|denied'; fi
