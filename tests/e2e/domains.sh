#!/usr/bin/env bash
# A model over several small domains: the text stays the CPU's, layers stay whole, a token switches once for each domain.
# Less memory than the model needs is a plan with a line, not a failure.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16 GGML_RKNPU_SUMMARY=$scratch/summary

write_text on_cpu cpu -m "$moe"

# run label [assignments]: the MoE model (six layers of about 4 MiB and a head of 1 MiB) on the NPU; debug lines too.
run() {
    local label=$1
    shift
    export RKNN_EMU_STATS=$scratch/$label.json
    env_of=("$@")
    write_text with_env "$label" -m "$moe" -v
    expect "$label: exit code" "$code" == 0
    expect_text "$label" cpu
    expect "$label: file descriptors held at most" "$(counter "$label" fds_held_max)" '<=' 64
    expect "$label: calls that are undefined on hardware" "$(counter "$label" misuses)" == 0
}
with_env() { on_npu env "${env_of[@]}" "$@"; }
graphs() { sed -nE 's/.*NPU jobs: .* in ([0-9]+) graphs.*/\1/p' "$scratch/summary"; }
switches() { sed -nE 's/.*domains: .*; ([0-9]+) switches.*/\1/p' "$scratch/summary"; }
says() { lines_of "$1" | grep -E "$2" >/dev/null && pass "$1: says '$2'" || fail "$1: no line '$2'"; }

run one
expect "one domain: switches" "$(counter one domain_switches)" == 0

# 9 MiB take two layers, the head beside the first two.
run several GGML_RKNPU_DOMAIN_MIB=9
says several '6 of 6 layers and 1 of 1 other weight are on the NPU \([0-9]+ MiB in [34] domains\)'
domains=$(grep -oE '[0-9]+: [0-9.]+ MiB' "$scratch/summary" | wc -l)
expect "several: domains" "$domains" '>=' 3
expect "several: switches per graph and domain" "$(switches)" '<=' "$((domains * $(graphs)))"
expect "several: switches, as the emulator counts (and one or two of the self-test)" "$(counter several domain_switches)" '<=' "$(($(switches) + 2))"
expect "several: switches of the emulator" "$(counter several domain_switches)" '>=' "$(switches)"

# The runtime has less address space than the accounts say: the same plan, found by trying.
run tight RKNN_EMU_DOMAIN_MIB=16
says tight '6 of 6 layers'
expect "tight: switches" "$(switches)" '>' 0

run limited GGML_RKNPU_MEMORY_MIB=14
says limited '3 of 6 layers and 1 of 1 other weight .* the rest is multiplied by the CPU: .*GGML_RKNPU_FORMAT'
run limited-domains GGML_RKNPU_MEMORY_MIB=14 GGML_RKNPU_DOMAIN_MIB=9
says limited-domains '[23] of 6 layers'
run board RKNN_EMU_MEMORY_MIB=24
says board '[2-5] of 6 layers .* the rest is multiplied by the CPU'
expect "board: lines about it" "$(lines_of board | grep -c 'multiplied by the CPU')" '>=' 1
