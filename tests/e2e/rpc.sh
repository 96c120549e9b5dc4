#!/usr/bin/env bash
# ggml-rpc-server offers the device to a host without plugin; the text is the CPU's.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16

write_text on_cpu cpu -m "$dense"
port=$(free_port)
start server env GGML_BACKEND_PATH="$PLUGIN" GGML_RKNPU_RUNTIME="$EMULATOR" \
    "$LLAMA_BIN/ggml-rpc-server" --device RKNPU0 --host 127.0.0.1 --port "$port" -t 2
wait_for 30 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
write_text on_cpu remote -v -m "$dense" --rpc "127.0.0.1:$port"
expect "exit code" "$code" == 0
expect_text remote cpu
grep -qE 'using device RPC0' "$scratch/remote.log" || fail "the host did not use the RPC device"
kill -0 "$started" || fail "the RPC server died"
pass "the host used RPC0 and the server lives"
