#!/usr/bin/env bash
# Experts on the NPU: the bundled MoE model, and random small models of other architectures (routings, gate and up in two
# stacks, biases of experts, MXFP4, short convolutions). All matrices are on the NPU, all experts among them, gate and up by
# one list of jobs; with w16a16 the logits are the CPU's up to rounding, and the text is that of a run with the experts on
# the CPU.
#
# What is bounded is the KLD of the median token, and of 19 in 20 for w16a16: where two experts are all but equal, any
# rounding chooses another one, and the logits of that token are others. w16a16 sums in another order than the CPU and
# rounds activations to f16: at most 0.000001 and 0.000011 were measured here. w8a8 of random weights, which no training
# made robust: at most 0.0017.
source "$(dirname "$0")/common.sh"

: "${SMALL_MOE:=$build/tools/small-moe/rknpu-make-small-moe}" "${RKNPU:=$build/tools/rknpu/rknpu}"
export GGML_RKNPU_SUMMARY=$scratch/summary

matrices() { sed -nE 's/.*tensors: +([0-9]+) on the NPU as.*/\1/p' "$scratch/summary" | awk '{ n += $1 } END { print n + 0 }'; }

# kld which label model base: of the format in GGML_RKNPU_FORMAT, which: Median or 95.0%; repeated if llama.cpp lost the end of its output.
kld() {
    local attempt
    for attempt in 1 2 3 4; do
        on_npu timeout 120 "$LLAMA_BIN/llama-perplexity" -m "$3" -c 256 -b 512 --chunks 2 "${threads[@]}" \
            --kl-divergence --kl-divergence-base "$4" >"$scratch/$2.log" 2>&1 </dev/null || return 1
        if sed -nE "s/^ *$1 +KLD: +(-?[0-9.]+).*/\\1/p" "$scratch/$2.log" | grep .; then return 0; fi
        echo "the end of llama.cpp's output was lost at its exit; attempt $((attempt + 1))" >&2
    done
    return 1
}

# check_small architecture matrices layers-with-experts [architecture of the reference]
check_small() {
    local model=$scratch/$1.gguf reference=$scratch/$1.gguf format which bound
    "$SMALL_MOE" "$1" "$model" "$moe"
    [ $# -lt 4 ] || { reference=$scratch/$4.gguf && "$SMALL_MOE" "$4" "$reference" "$moe"; }
    "$LLAMA_BIN/llama-perplexity" -m "$reference" -f "$text" -c 256 -b 512 --chunks 2 "${threads[@]}" \
        --kl-divergence-base "$scratch/$1.base" >"$scratch/$1.log" 2>&1 </dev/null || fail "$1: the CPU's logits"
    for format in w16a16:Median:0.00001 w16a16:95.0%:0.0001 w8a8:Median:0.005; do
        IFS=: read -r GGML_RKNPU_FORMAT which bound <<<"$format"
        export GGML_RKNPU_FORMAT
        expect "$1, $GGML_RKNPU_FORMAT: KLD from the CPU, $which" "$(kld "$which" "$1-$GGML_RKNPU_FORMAT" "$model" "$scratch/$1.base")" '<' "$bound"
        expect "$1, $GGML_RKNPU_FORMAT: matrices on the NPU" "$(matrices)" == "$2"
        expect "$1, $GGML_RKNPU_FORMAT: matrices on the CPU" "$(grep -c 'on the CPU: ' "$scratch/summary" || true)" == 0
        # In every layer of every graph.
        expect "$1, $GGML_RKNPU_FORMAT: lists of jobs with gate and up" "$(sed -nE 's/.* ([0-9]+) lists with the experts of several tensors.*/\1/p' "$scratch/summary")" \
            == "$(($3 * $(sed -nE 's/.* jobs: .* in ([0-9]+) graphs.*/\1/p' "$scratch/summary")))"
        expect "$1, $GGML_RKNPU_FORMAT: jobs on the CPU" "$(sed -nE 's/.* ([0-9]+) computed on the CPU.*/\1/p' "$scratch/summary")" == 0
    done
}

# Each of three layers: q, k, v, output, router, gate, up, down; and the output head.
check_small qwen3moe 25 3
# A dense layer with a convolution, one with attention and experts, one with a convolution and experts; the head.
check_small lfm2moe 20 2
# The CPU rounds activations to 8 bits for MXFP4, so the reference has the same values in f16.
check_small gpt-oss 25 3 gpt-oss-f16

# The bundled model.
export GGML_RKNPU_FORMAT=w16a16
write_text on_npu npu -m "$moe"
all=$(matrices)
expect "bundled model: jobs on the CPU" "$(sed -nE 's/.* ([0-9]+) computed on the CPU.*/\1/p' "$scratch/summary")" == 0
write_text on_npu experts-on-cpu -m "$moe" -ot exps=CPU
expect_text npu experts-on-cpu
stacks=$("$RKNPU" plan "$moe" | grep -c '_exps' || true)
expect "stacks of experts in the bundled model" "$stacks" == 12
expect "stacks that -ot exps=CPU took from the NPU" "$((all - $(matrices)))" == "$stacks"
