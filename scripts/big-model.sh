#!/usr/bin/env bash
# The full-size experiment: a model with the shapes of Gemma 4 26B A4B and random weights is loaded, reads 32 tokens and
# writes three (two decoding steps), on the emulated NPU. Reports memory, domains, descriptors, switches and time (docs/testing.md).
#
#   scripts/big-model.sh [--shape gemma4-26b-a4b|gemma4-e4b] [--layers N] [--folder <folder for the model>] [--no-mmap]
#                        [--keep]
#
# The emulator keeps one copy of its memory instead of two (RKNN_EMU_SHADOW=0), so a missing cache sync is not seen here.
# Invariant: what it wrote is deleted at the end unless --keep says otherwise; a model file that is there is used again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

shape=gemma4-26b-a4b mapping=()
while [ $# -gt 0 ]; do
    if model_option "$@"; then
        shift "$taken"
        continue
    fi
    case $1 in
        --shape) shape=${2:?--shape needs a value} && shift ;;
        --no-mmap) mapping=(--load-mode none) ;;
        *) die "no option $1 (--shape, --layers, --folder, --no-mmap, --keep)" ;;
    esac
    shift
done
make_model "$shape"
"$repo/build/tools/rknpu/rknpu" plan "$model" | sed -n '/^$/,$p'

# With what llama.cpp puts in front 32 tokens: words of one letter are tokens of the bundled vocabulary.
prompt='a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d'
export GGML_RKNPU_STORE=off RKNN_EMU_STATS=$scratch/stats
start=$SECONDS
complete -p "$prompt" -n 3 -c 256 -v "${mapping[@]}"

echo
echo "experiment: $shape${layers:+, $layers layers} ${mapping[*]}, $GGML_RKNPU_FORMAT, EMULATED"
grep -E 'prompt eval time|  eval time|n_tokens = ' "$scratch/log" | sed 's/^.*common_perf_print: //; s/^/  /' | tail -n 3
cat "$scratch/summary"
echo "  peak memory of the process (VmHWM, the emulator's memory and mapped pages of the file included): $((peak / 1024)) MiB"
echo "  of that, at its largest sample, MiB: $parts"
echo "  whole run: $((SECONDS - start)) s"
grep -E '"(fds_held_max|domain_switches|bytes_live_max|contexts_created|misuses)"|bytes_of_domain_max' "$scratch/stats"
sed -n 's/^.*\(rknpu: \)/  \1/p' "$scratch/log" | grep -E 'on the NPU|cannot' | head -n 5
