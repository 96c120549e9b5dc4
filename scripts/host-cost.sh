#!/usr/bin/env bash
# What a token costs the CPU: instructions in our code, in ggml's operators and in the rest, counted by callgrind while
# the emulator's jobs complete at once. What remains is the host side of a board. The count does not depend on how busy
# the machine is; valgrind knows no AVX-512, so everything runs on AVX2 (on x86).
#
# Usage: scripts/host-cost.sh [--check | --models] [build folder, default: build]
#   --check   only decoding with the dense model: fails if our code takes more than a fourth of what ggml's operators do,
#             or more per job in a model of 24 layers than in one of 6
#   --models  not the models of 12 and 24 layers
# PLUGIN, EMULATOR, LLAMA_BIN, MODELS and REPEAT_LAYERS (the tool rknpu-repeat-layers) name other files.
#
# Where a title says "new graphs", llama.cpp builds a graph for every token and we a mirror of it, as when its batches
# change; elsewhere both are kept from token to token.
#
# Cost per token: the difference of two runs of llama-bench that differ only in tokens, so loading and warming up drop
# out. One compute thread. Spinning is off (GGML_RKNPU_SPIN_US=0), for polls would be counted as work: who waits for a
# job sleeps, if it is not done already. Attribution to libraries: scripts/host-cost.awk.
# Invariant: a run whose jobs did not all go through the NPU is no result.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

part=all new_graphs=0 format=w8a8
case ${1:-} in
    --check | --models) part=${1#--} && shift ;;
    -*) die "no option $1 (--check, --models)" ;;
esac
build=${1:-$repo/build}
: "${PLUGIN:=$(plugin_of "$build")}" "${EMULATOR:=$(emulator_of "$build")}" "${MODELS:=$repo/models}"
: "${REPEAT_LAYERS:=$build/tools/layers/rknpu-repeat-layers}"
: "${LLAMA_BIN:=$("$repo/scripts/llama-cpp.sh")}"
for file in "$PLUGIN" "$EMULATOR" "$REPEAT_LAYERS"; do
    [ -f "$file" ] || die "there is no $file: make build"
done
command -v valgrind >/dev/null || die "valgrind is missing; install it with:  sudo apt-get install -y valgrind"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# profile label model llama-bench-arguments...: folder/<label>.costs (owner, instructions, function) and .summary
profile() {
    local out=$folder/$1 model=$2
    shift 2
    # RKNN_EMU_COMPUTED_RUNS: the plugin's self-test, three types on three cores. No search for scales, which takes minutes
    # under valgrind while loading, and changes no instruction of a token.
    env -i PATH="$PATH" HOME="$HOME" GGML_BACKEND_PATH="$PLUGIN" GGML_RKNPU_RUNTIME="$EMULATOR" \
        LLAMA_GRAPH_REUSE_DISABLE="$new_graphs" GGML_RKNPU_SCALES=absmax \
        GGML_RKNPU_LOCK="$out.lock" GGML_RKNPU_SUMMARY="$out.summary" GGML_RKNPU_SPIN_US=0 GGML_RKNPU_FORMAT="$format" \
        RKNN_EMU_NPU="$out.npu" RKNN_EMU_ARITHMETIC=0 RKNN_EMU_SHADOW=0 RKNN_EMU_COMPUTED_RUNS=9 \
        valgrind --quiet --tool=callgrind --fair-sched=yes --callgrind-out-file="$out.callgrind" \
        "$LLAMA_BIN/llama-bench" -m "$model" -t 1 -r 1 --no-warmup "$@" >"$out.log" 2>&1 </dev/null \
        || { tail -n 5 "$out.log" >&2; die "llama-bench $* failed"; }
    grep -qs ' 0 failed, 0 computed on the CPU instead' "$out.summary" \
        || { grep rknpu "$out.log" >&2; die "llama-bench $*: not every job went through the NPU"; }
    awk -f "$repo/scripts/host-cost.awk" "$out.callgrind" >"$out.costs"
}

# jobs, graphs and newly mirrored graphs of a run
numbers_of() { sed -n 's/.*NPU jobs: *\([0-9]*\) in \([0-9]*\) graphs (\([0-9]*\) .*/\1 \2 \3/p' "$folder/$1.summary"; }

# per_token fewer more tokens: the same lines as .costs, for one token of the difference, in folder/token
per_token() {
    awk -F '\t' -v OFS='\t' -v tokens="$3" '
        { cost[$1 OFS $3] += FNR == NR ? -$2 : $2 }
        END { for (f in cost) { split(f, part, OFS); print part[1], cost[f] / tokens, part[2] } }
    ' "$folder/$1.costs" "$folder/$2.costs" | sort -t "$(printf '\t')" -k2,2gr >"$folder/token"
}

table_head() {
    printf '%-26s %9s %9s %6s %9s %9s %9s %6s %6s %9s\n' 'instructions per token' ours operators ratio \
        ggml-base emulator rest jobs graphs mirrored
}

# row title model tokens fewer-arguments more-arguments (each one string): leaves folder/token, $ratio
# and $per_job (our instructions per job) behind
row() {
    local title=$1 model=$2 tokens=$3 fewer more
    read -ra fewer <<<"$4"
    read -ra more <<<"$5"
    profile fewer "$model" "${fewer[@]}" &
    profile more "$model" "${more[@]}"
    wait $! || die "a run failed"
    per_token fewer more "$tokens"
    local a b
    read -ra a < <(numbers_of fewer)
    read -ra b < <(numbers_of more)
    local graphs=$((b[1] - a[1])) mirrored=$((b[2] - a[2])) jobs=$(((b[0] - a[0]) / tokens))
    read -r ratio per_job < <(awk -F '\t' -v jobs="$jobs" '{ sum[$1] += $2 }
        END { printf "%.3f %.0f\n", sum["plugin"] / sum["operators"], sum["plugin"] / jobs }' "$folder/token")
    awk -F '\t' -v title="$title" -v jobs="$jobs" -v graphs="$graphs" -v mirrored="$mirrored" '
        { sum[$1] += $2 }
        END { printf "%-26s %9.0f %9.0f %6.3f %9.0f %9.0f %9.0f %6d %6d %9d\n", title, sum["plugin"], sum["operators"],
                  sum["plugin"] / sum["operators"], sum["ggml-base"], sum["emulator"], sum["rest"], jobs, graphs,
                  mirrored }' "$folder/token"
    [ "$new_graphs" = 1 ] || [ $((8 * mirrored)) -le "$graphs" ] \
        || die "$title: $mirrored of $graphs graphs were mirrored anew, not kept"
}

hottest() { # owner title
    awk -F '\t' -v owner="$1" -v title="$2" '
        $1 == owner { total += $2; if (n < 10) { line[++n] = $3; cost[n] = $2 } }
        END {
            printf "\n%s: %.0f instructions, the hottest functions\n", title, total
            for (i = 1; i <= n; i++) {
                sub(/^void /, "", line[i])
                gsub(/rknpu::|\(anonymous namespace\)::|kernels::|@@?GLIBC.*/, "", line[i])
                sub(/\(.*/, "", line[i])
                printf "  %5.1f %%  %8.0f  %s\n", 100 * cost[i] / total, cost[i], line[i]
            }
        }' "$folder/token"
}

declare -A job_cost # our instructions per job, by the number of layers

# depths n_layers...: decoding with models of so many layers; leaves job_cost behind
depths() {
    local n title
    table_head
    for n in "$@"; do
        "$REPEAT_LAYERS" "$dense" "$folder/deep.gguf" "$n" || die "no model of $n layers could be made"
        title="decode, $n layers"
        [ "$new_graphs" = 0 ] || title="$n layers, new graphs"
        row "$title" "$folder/deep.gguf" 16 '-p 0 -n 8' '-p 0 -n 24'
        job_cost[$n]=$per_job
    done
}

check_ratio() {
    table_head
    row 'decode' "$dense" 32 '-p 0 -n 8' '-p 0 -n 40'
    hottest plugin 'our code'
    awk -v ratio="$ratio" 'BEGIN { exit !(ratio <= 0.25) }'
}

# A walk over the whole graph for each node, say, would cost four times as much per job.
check_depth() {
    new_graphs=1 depths 6 24
    echo "our instructions per job: ${job_cost[6]} with 6 layers, ${job_cost[24]} with 24"
    [ $((10 * job_cost[24])) -le $((11 * job_cost[6])) ]
}

# Valgrind's schedule decides how often a waiter sleeps, which moves our part by up to 4 %: the bounds are for the code,
# so an unlucky run is repeated.
within_three_attempts() {
    local attempt
    for attempt in 1 2 3; do
        "$@" && return
        echo "attempt $attempt: over the bound"
    done
    return 1
}

dense=$MODELS/tiny-gemma3-f16.gguf
if [ "$part" = check ]; then
    within_three_attempts check_ratio \
        || die "our code takes $ratio of what ggml's operators take for a token; the bound is 0.25"
    within_three_attempts check_depth \
        || die "a job costs ${job_cost[24]} instructions with 24 layers, ${job_cost[6]} with 6; the bound is 10 % more"
    exit
fi
if [ "$part" = all ]; then
    depths 6 12 24
    new_graphs=1 depths 6 12 24
fi
for model in "$dense" "$MODELS/tiny-gemma4-moe-f16.gguf"; do
    printf '\n%s, %s\n' "$(basename "$model")" "$format"
    table_head
    row 'prefill, 256 to 512 tokens' "$model" 256 '-p 256 -n 0' '-p 512 -n 0'
    new_graphs=1 row 'prefill, 512 to 1536' "$model" 1024 '-p 512 -n 0' '-p 1536 -n 0'
    hottest plugin 'our code, prefill'
    printf '\n'
    table_head
    row 'decode, 512 tokens before' "$model" 32 '-p 0 -n 8 -d 512' '-p 0 -n 40 -d 512'
    row 'decode' "$model" 32 '-p 0 -n 8' '-p 0 -n 40'
    hottest plugin 'our code, decode'
    hottest operators "ggml's operators, decode"
    printf '\n%s, w4a8\n' "$(basename "$model")"
    table_head
    format=w4a8 row 'decode' "$model" 32 '-p 0 -n 8' '-p 0 -n 40'
    hottest plugin 'our code, decode in w4a8'
done
