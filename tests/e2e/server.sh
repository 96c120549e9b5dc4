#!/usr/bin/env bash
# llama-server: two chats at once through the OpenAI interface, bounded descriptors, and Ctrl-C in the middle of a stream.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16 RKNN_EMU_STATS=$scratch/server.json
export GGML_BACKEND_PATH=$PLUGIN GGML_RKNPU_RUNTIME=$EMULATOR

port=$(free_port)
url=http://127.0.0.1:$port
start server "$LLAMA_BIN/llama-server" -m "$dense" --host 127.0.0.1 --port "$port" -np 2 -c 2048 -t 1
server=$started
wait_for 60 curl -fsS "$url/health"

ask() { # question file
    curl -fsS --max-time 60 "$url/v1/chat/completions" -H 'Content-Type: application/json' \
        -d "{\"messages\": [{\"role\": \"user\", \"content\": \"$1\"}], \"max_tokens\": 24, \"temperature\": 0}" >"$2"
}
ask "What is a transaction?" "$scratch/first.json" &
first=$!
ask "How does the kernel allocate memory?" "$scratch/second.json" &
second=$!
wait "$first"
wait "$second"
for answer in first second; do
    grep -qE '"content": *"[^"]{10,}' "$scratch/$answer.json" || { cat "$scratch/$answer.json"; fail "$answer: no content"; }
    tokens=$(grep -oE '"completion_tokens": *[0-9]+' "$scratch/$answer.json" | grep -oE '[0-9]+$')
    expect "$answer answer: tokens" "$tokens" '>' 0
done
fds=("/proc/$server/fd/"*)
expect "open file descriptors of the server" "${#fds[@]}" '<' 64

curl -sS -N --max-time 60 "$url/v1/completions" -H 'Content-Type: application/json' \
    -d '{"prompt": "The kernel", "max_tokens": 900, "stream": true, "ignore_eos": true}' >"$scratch/stream.txt" 2>/dev/null &
stream=$!
wait_for 30 grep -q '^data:' "$scratch/stream.txt"
kill -INT "$server"
code=0
# llama.cpp v0.5.0 (on its CPU backend alone, too) keeps a stream alive as long as its client listens: let the client go.
sleep 1
kill "$stream" 2>/dev/null || true
timeout 30 tail --pid="$server" -f /dev/null || fail "the server still runs 30 s after SIGINT"
wait "$server" || code=$?
wait "$stream" || true
! grep -q '\[DONE\]' "$scratch/stream.txt" || fail "the stream had ended before the signal: nothing was interrupted"
[ "$code" -eq 0 ] || [ "$code" -eq 130 ] || { tail -n 20 "$scratch/server.log"; fail "exit code $code after SIGINT"; }
pass "SIGINT in the middle of a stream: exit code $code"
expect "jobs on the NPU" "$(counter server runs)" '>' 100
expect "file descriptors held at most" "$(counter server fds_held_max)" '<' 64

# The same for a program of its own: Ctrl-C ends it at once.
start completion "$LLAMA_BIN/llama-completion" -m "$dense" -p "The kernel" -n 100000 -c 2048 -no-cnv --ignore-eos -t 1
completion=$started
wait_for 30 test -s "$scratch/completion.log"
sleep 1
kill -INT "$completion"
timeout 10 tail --pid="$completion" -f /dev/null || fail "llama-completion still runs 10 s after SIGINT"
code=0
wait "$completion" || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 130 ] || fail "llama-completion: exit code $code after SIGINT"
pass "SIGINT in the middle of a text: exit code $code"
