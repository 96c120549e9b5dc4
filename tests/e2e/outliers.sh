#!/usr/bin/env bash
# The derived outlier variants are the same function: on the CPU their perplexity is the original's within rounding noise.
source "$(dirname "$0")/common.sh"

for model in "$dense" "$moe"; do
    "$TOOL" "$model" "$scratch/outliers.gguf" >"$scratch/channels.txt"
    expect "scaled vectors" "$(wc -l <"$scratch/channels.txt")" '>=' 12
    plain=$(perplexity on_cpu "$model" 8)
    derived=$(perplexity on_cpu "$scratch/outliers.gguf" 8)
    echo "$(basename "$model"), 8 chunks: plain $plain, with outlier channels $derived"
    expect "difference in percent" "$(relative "$derived" "$plain")" '<' 0.1
done

# Whatever is wrong with the input: one line, exit code 1, no output file.
head -c 5000000 "$dense" >"$scratch/truncated.gguf"
for input in "$scratch/missing.gguf" "$scratch/truncated.gguf" "$text" "$scratch/outliers.gguf"; do
    code=0
    "$TOOL" "$input" "$scratch/no.gguf" 2>"$scratch/error.txt" || code=$?
    expect "exit code" "$code" == 1
    expect "lines of explanation" "$(wc -l <"$scratch/error.txt")" == 1
    [ ! -e "$scratch/no.gguf" ] || fail "an output was written for $input"
    pass "$(cat "$scratch/error.txt")"
done
