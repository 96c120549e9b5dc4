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

shape=gemma4-26b-a4b layers=() folder=${TMPDIR:-/tmp} keep='' mapping=()
while [ $# -gt 0 ]; do
    case $1 in
        --shape) shape=${2:?--shape needs a value} && shift ;;
        --layers) layers=(--layers "${2:?--layers needs a value}") && shift ;;
        --folder) folder=${2:?--folder needs a value} && shift ;;
        --keep) keep=1 ;;
        --no-mmap) mapping=(--load-mode none) ;;
        *) die "no option $1 (--shape, --layers, --folder, --no-mmap, --keep)" ;;
    esac
    shift
done
[ -d "$folder" ] || die "no folder $folder: create it, or give another with --folder"

generator=$repo/build/tools/generator/rknpu-make-model
[ -x "$generator" ] || "$repo/scripts/build.sh" >&2
eval "$("$repo/scripts/build.sh" --paths)"
scratch=$(mktemp -d "$folder/big-model.XXXXXX")
model=$folder/$shape${layers[1]:+-${layers[1]}-layers}.gguf
trap 'rm -rf "$scratch"; [ -n "$keep" ] || rm -f "$model"' EXIT

[ -f "$model" ] || "$generator" "$shape" "$model" --vocab "$repo/models/tiny-gemma4-moe-f16.gguf" "${layers[@]}"
GGML_RKNPU_FORMAT=${GGML_RKNPU_FORMAT:-w4a8} "$repo/build/tools/rknpu/rknpu" plan "$model" | sed -n '/^$/,$p'

# With what llama.cpp puts in front 32 tokens: words of one letter are tokens of the bundled vocabulary.
prompt='a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d'
export GGML_BACKEND_PATH=$PLUGIN GGML_RKNPU_RUNTIME=$EMULATOR GGML_RKNPU_FORMAT=${GGML_RKNPU_FORMAT:-w4a8}
export GGML_RKNPU_SUMMARY=$scratch/summary GGML_RKNPU_LOCK=$scratch/lock GGML_RKNPU_STORE=off
export RKNN_EMU_SHADOW=0 RKNN_EMU_NPU=$scratch/npu RKNN_EMU_STATS=$scratch/stats
start=$SECONDS
"$LLAMA_BIN/llama-completion" -m "$model" -p "$prompt" -n 3 --temp 0 -no-cnv -c 256 -t "$(nproc)" --no-warmup -v "${mapping[@]}" \
    >"$scratch/text" 2>"$scratch/log" </dev/null &
pid=$!
peak=0 largest=0 parts=
while now=$(awk '/^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem)/ { printf "%s ", $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
    read -r peak now anon file shared <<<"$now"
    [ "$now" -le "$largest" ] || largest=$now parts="anonymous $((anon / 1024)), of files $((file / 1024)), shared $((shared / 1024))"
    sleep 0.2
done
code=0
wait "$pid" || code=$?
[ "$code" -eq 0 ] || { tail -n 20 "$scratch/log" >&2; die "llama-completion ended with code $code"; }

echo
echo "experiment: $shape ${layers[*]} ${mapping[*]}, $GGML_RKNPU_FORMAT, EMULATED"
grep -E 'prompt eval time|  eval time|n_tokens = ' "$scratch/log" | sed 's/^.*common_perf_print: //; s/^/  /' | tail -n 3
cat "$scratch/summary"
echo "  peak memory of the process (VmHWM, the emulator's memory and mapped pages of the file included): $((peak / 1024)) MiB"
echo "  of that, at its largest sample, MiB: $parts"
echo "  whole run: $((SECONDS - start)) s"
grep -E '"(fds_held_max|domain_switches|bytes_live_max|contexts_created|misuses)"|bytes_of_domain_max' "$scratch/stats"
sed -n 's/^.*\(rknpu: \)/  \1/p' "$scratch/log" | grep -E 'on the NPU|cannot' | head -n 5
