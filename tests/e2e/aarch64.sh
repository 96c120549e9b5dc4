#!/usr/bin/env bash
# The arm64 build under qemu-user (stock llama-completion, plugin, emulator) writes the text of the native build.
#
# Formats with integer products are compared. w16a16 is compared up to where it goes on alike, and the place is printed:
# its products are sums of floats, as are ggml's own operators, and both architectures add in another order.
#
# Environment, set by ctest: ARM64_PLUGIN, ARM64_EMULATOR, ARM64_LLAMA_BIN, LAUNCHER (qemu and its arguments).
source "$(dirname "$0")/common.sh"
: "${ARM64_PLUGIN:?}" "${ARM64_EMULATOR:?}" "${ARM64_LLAMA_BIN:?}" "${LAUNCHER:?}"

expect_architecture() { # file number: e_machine of the ELF header, 183 is AArch64
    expect "$(basename "$1"): machine in the ELF header" "$(od -An -j18 -N2 -tu2 "$1" | tr -d ' ')" == "$2"
}
expect_architecture "$ARM64_PLUGIN" 183
expect_architecture "$ARM64_EMULATOR" 183
expect_architecture "$ARM64_LLAMA_BIN/llama-completion" 183
expect_architecture "$PLUGIN" 62

native_bin=$LLAMA_BIN
arm64_bin=$scratch/arm64
mkdir "$arm64_bin"
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$LAUNCHER" "$ARM64_LLAMA_BIN/llama-completion" >"$arm64_bin/llama-completion"
chmod +x "$arm64_bin/llama-completion"

write_both() { # format: texts <format>-native and <format>-arm64
    export GGML_RKNPU_FORMAT=$1 RKNN_EMU_STATS=$scratch/$1-native.json
    seconds=300 LLAMA_BIN=$native_bin write_text on_npu "$1-native" -m "$dense"
    expect "$1, native: exit code" "$code" == 0
    RKNN_EMU_STATS=$scratch/$1-arm64.json
    local started=$SECONDS
    seconds=300 PLUGIN=$ARM64_PLUGIN EMULATOR=$ARM64_EMULATOR LLAMA_BIN=$arm64_bin write_text on_npu "$1-arm64" -m "$dense"
    expect "$1, arm64: exit code" "$code" == 0
    echo "$1: $((SECONDS - started)) s under qemu"
    expect "$1: jobs on the NPU" "$(counter "$1-arm64" runs)" == "$(counter "$1-native" runs)"
    expect "$1: calls that are undefined on hardware" "$(counter "$1-arm64" misuses)" == 0
}

write_both w8a8
expect_text w8a8-arm64 w8a8-native

write_both w16a16
if cmp "$scratch/w16a16-native.txt" "$scratch/w16a16-arm64.txt" >"$scratch/difference"; then
    pass "w16a16: the texts are equal too"
else
    echo "w16a16, reported only: $(cat "$scratch/difference")"
fi
