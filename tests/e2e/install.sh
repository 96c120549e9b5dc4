#!/usr/bin/env bash
# cmake --install: the installed plugin alone serves a stock program, and the command is on the path.
source "$(dirname "$0")/common.sh"

prefix=$scratch/prefix
cmake --install "$(dirname "$(dirname "$(dirname "$PLUGIN")")")" --prefix "$prefix" >"$scratch/install.log" 2>&1 \
    || { tail -n 5 "$scratch/install.log"; fail "cmake --install"; }
installed=$(find "$prefix" -name libggml-rknpu.so)
expect "installed plugins" "$(wc -w <<<"$installed")" == 1
export GGML_RKNPU_FORMAT=w16a16
write_text on_cpu cpu -m "$dense"
PLUGIN=$installed
write_text on_npu installed -m "$dense"
expect_same_beginning installed cpu
env GGML_RKNPU_RUNTIME="$EMULATOR" "$prefix/bin/rknpu" info | grep -q EMULATED || fail "rknpu info of the installation"
pass "rknpu info"
cmp -s "$prefix/share/man/man1/rknpu.1" "$repo/docs/rknpu.1" || fail "the installed manual page"
cmp -s "$prefix/share/bash-completion/completions/rknpu" "$repo/tools/rknpu/rknpu.bash" || fail "the installed completion"
pass "manual page and completion"
GGML_RKNPU_RUNTIME="$EMULATOR" "$prefix/bin/rknpu" doctor --llama-bin "$LLAMA_BIN" >"$scratch/doctor.txt" \
    || { cat "$scratch/doctor.txt"; fail "rknpu doctor of the installation"; }
grep -q "^ok *llama.cpp .* loads $(realpath "$installed")" "$scratch/doctor.txt" || fail "doctor does not name the installed plugin"
pass "rknpu doctor"
