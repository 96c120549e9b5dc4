#!/usr/bin/env bash
# w16a16: 64 greedy tokens of the dense model are the CPU's; the whole graph is one split; few objects and descriptors.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16
greedy+=(-t 2)

write_text on_cpu cpu -m "$dense"
export RKNN_EMU_STATS=$scratch/npu.json
write_text on_npu npu -m "$dense"
expect "exit code" "$code" == 0
expect_text npu cpu

export GGML_RKNPU_SUMMARY=$scratch/summary
for model in "$dense" "$moe"; do
    export RKNN_EMU_STATS=$scratch/npu.json
    write_text on_npu npu -m "$model" -v
    splits=$(grep -oE 'splits = [0-9]+' "$scratch/npu.log" | grep -oE '[0-9]+' | sort -n | tail -n 1)
    expect "$(basename "$model"): graph splits" "${splits:-999}" '<=' 2
    expect "jobs on the NPU" "$(counter npu runs)" '>' 1000
    # One context for each distinct (shape, core, domain) of jobs, and one that only owns the memory of the domain.
    expect "contexts created, against distinct ones and one owner" "$(counter npu contexts_created)" == "$(($(counter npu contexts_distinct) + 1))"
    expect "file descriptors held at most" "$(counter npu fds_held_max)" '<' 64
    expect "calls that are undefined on hardware" "$(counter npu misuses)" == 0

    # llama.cpp reuses its graph between tokens, and so do we ours: a few new ones for the prompt, not one per token.
    read -r graphs new < <(sed -nE 's/.*NPU jobs: .* in ([0-9]+) graphs \(([0-9]+) of them new\).*/\1 \2/p' "$scratch/summary")
    expect "graphs computed" "$graphs" '>=' 64
    expect "of them prepared anew" "$new" '<' 10

    # Longer text needs no further runtime object: all exist by the third decoded token.
    objects=$(counter npu objects_created)
    export RKNN_EMU_STATS=$scratch/short.json
    write_text on_npu short -m "$model" -n 3
    if [ "$model" = "$moe" ]; then # 6 layers use 4 experts each, twice; the dense part's have 25 at least
        ! grep exps "$scratch/summary" || fail "experts stay on the CPU"
        per_token=$((($(counter npu runs) - $(counter short runs)) / 61))
        expect "jobs per token" "$per_token" '>=' "$((25 + 6 * 4 * 2))"
        expect "of them with q, k and v merged, gate and up too: 91 otherwise" "$per_token" '<' 91
    fi
    expect "runtime objects after 64 tokens, against 3" "$objects" == "$(counter short objects_created)"
done
