#!/usr/bin/env bash
# perplexity.sh format percent: perplexity of both bundled models on the first 16 chunks of 512 tokens of eval.txt is
# within so many percent of the CPU backend's on the same chunks.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=$1
percent=$2
n_chunks=16

for model in "$dense" "$moe"; do
    cpu=$(perplexity on_cpu "$model" "$n_chunks")
    export RKNN_EMU_STATS=$scratch/npu.json
    npu=$(perplexity on_npu "$model" "$n_chunks")
    expect "jobs on the NPU" "$(counter npu runs)" '>' 100
    echo "$(basename "$model"), $n_chunks chunks: CPU $cpu, $GGML_RKNPU_FORMAT (emulated) $npu"
    expect "difference in percent" "$(relative "$npu" "$cpu")" '<' "$percent"
done
