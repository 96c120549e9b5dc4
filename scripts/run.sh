#!/usr/bin/env bash
# Stock llama-completion writes text with its matrix products on the NPU, or on the emulated one where there is no board.
#
# Environment: MODEL (a .gguf file), PROMPT, N (tokens to write); any GGML_RKNPU_* setting is passed on.
# Invariant: wrong arguments are reported before anything is installed or built.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

model=${MODEL:-$repo/models/tiny-gemma4-moe-f16.gguf}
prompt=${PROMPT:-The kernel allocates memory for each process when}
n=${N:-64}

# shellcheck disable=SC2088
case $model in '~/'*) model=$HOME/${model#'~/'} ;; esac # sh does not expand it in MODEL=~/file
[ -f "$model" ] || die "MODEL: no file '$model'; give the path of a .gguf file: make run MODEL=/path/model.gguf"
[ -r "$model" ] || die "MODEL: '$model' is not readable for $(id -un); chmod +r it"
[ "$(head -c 4 "$model" | tr -d '\0')" = GGUF ] \
    || die "MODEL: '$model' is not a GGUF file (it does not begin with 'GGUF'); convert it, or download it again"
[[ $n =~ ^[1-9][0-9]{0,5}$ ]] || die "N: '$n' is not a number of tokens (1 to 999999): make run N=64"

"$repo/scripts/build.sh" release --no-tests
llama_bin=$("$repo/scripts/llama-cpp.sh")

GGML_BACKEND_PATH=$(plugin_of "$repo/build")
export GGML_BACKEND_PATH
if [ -z "${GGML_RKNPU_RUNTIME:-}" ]; then
    GGML_RKNPU_RUNTIME=$(board_runtime) || {
        GGML_RKNPU_RUNTIME=$(emulator_of "$repo/build")
        say "no RK3588 NPU here: using the emulator"
    }
    export GGML_RKNPU_RUNTIME
fi
log=$repo/build/run.log
summary=$repo/build/run-summary.txt
rm -f "$summary"
[ -n "${GGML_RKNPU_SUMMARY:-}" ] || export GGML_RKNPU_SUMMARY=$summary

context=$((n + 1024 > 2048 ? n + 1024 : 2048))
status=0
# Ctrl-C is for llama.cpp, which then closes the model; the filters and this script live on to show the summary.
trap : INT
exec {shown}> >(trap '' INT; tee "$log" | sed -un 's/^.*\(rknpu: \)/\1/p' >&2)
filter=$!
# llama.cpp's own log goes to a file; what the plugin has to say (waiting for the NPU, refusals) is shown at once.
# The repeat penalty keeps the tiny bundled models out of loops.
"$llama_bin/llama-completion" -m "$model" -p "$prompt" -n "$n" -c "$context" -no-cnv \
    --temp 0.8 --repeat-penalty 1.1 --repeat-last-n 128 --seed 7 </dev/null \
    2>&"$shown" {shown}>&- || status=$?
exec {shown}>&-
wait "$filter" || true
echo
if [ "$status" -ne 0 ] && [ "$status" -ne 130 ]; then # 130: Ctrl-C
    { grep -vE 'rknpu: ' "$log" || true; } | tail -n 5 >&2
    die "llama-completion failed ($status); a damaged model file must be downloaded again; the log: $log"
fi
if [ -s "$summary" ]; then
    echo
    cat "$summary"
elif [ "$GGML_RKNPU_SUMMARY" = "$summary" ]; then
    say "the NPU was not used, the text is the CPU's; the reason is above or in $log"
fi
