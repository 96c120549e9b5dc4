#!/usr/bin/env bash
# How fast packed weights are loaded, against `cat` of the same warm file side by side, and how much memory loading takes:
# on a generated model with the shapes of Gemma 4 26B A4B, on the emulated NPU (docs/store-format.md).
#
#   scripts/store-speed.sh [--layers N] [--folder <folder for model and packed file>] [--rounds N] [--keep]
#
# Counted is what the plugin spends from a weight's source to codes in NPU memory: hashing the source, finding, reading
# and checking the record. Not counted is the allocation of that memory: a board's driver gives whole pages at once, the
# emulator is told to do so, too (RKNN_EMU_POPULATE). Peak memory is that of loads without this, for llama.cpp has the whole
# source mapped and present before the plugin hears of it.
# Invariant: what it wrote is deleted at the end unless --keep says otherwise; fails below the least ratio.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly least=0.7
layers=4 rounds=3
while [ $# -gt 0 ]; do
    if model_option "$@"; then
        shift "$taken"
        continue
    fi
    case $1 in
        --rounds) rounds=${2:?--rounds needs a value} && shift ;;
        *) die "no option $1 (--layers, --folder, --rounds, --keep)" ;;
    esac
    shift
done
make_model gemma4-26b-a4b

# load [arguments]: "<MiB read from disk> <seconds> <peak MiB>" of one load and one token.
load() {
    complete -p a -n 1 -c 64 "$@"
    sed -nE "s/^  loading: +([0-9.]+) s, of which ([0-9.]+) MiB.*/\2 \1 $((peak / 1024))/p" "$scratch/summary"
}

echo "gemma4-26b-a4b, $layers layers, $GGML_RKNPU_FORMAT, EMULATED; measured here: $(nproc) cores, load $(cut -d ' ' -f 1 /proc/loadavg)"
echo "source: $(($(stat -c %s "$model") >> 20)) MiB"
for mode in mmap none; do
    read -r _ seconds peak < <(GGML_RKNPU_STORE=off load --load-mode "$mode")
    echo "converted ($mode): $seconds s, peak memory $peak MiB"
done
export GGML_RKNPU_STORE=$scratch/cache GGML_RKNPU_STORE_MIB=1048576
read -r _ seconds peak < <(load)
file=$(echo "$scratch"/cache/*.rknpu)
[ -f "$file" ] || { sed -n 's/^.*\(rknpu: \)/\1/p' "$scratch/log" >&2; die "no packed file was written"; }
mib=$(($(stat -c %s "$file") >> 20))
echo "converted and written: $seconds s, peak memory $peak MiB; packed: $mib MiB, so the bound is $((mib + 1024)) MiB"
read -r _ seconds peak < <(load)
echo "from disk, pages when they are touched: $seconds s, peak memory $peak MiB"
export RKNN_EMU_POPULATE=1
cat "$file" >/dev/null # warm
for ((i = 0; i < rounds; i++)); do
    start=$(date +%s.%N)
    cat "$file" >/dev/null
    cat_seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
    read -r from_disk seconds _ < <(load)
    awk -v mib="$mib" -v cat="$cat_seconds" -v disk="$from_disk" -v load="$seconds" 'BEGIN {
        printf "%.2f: cat %.2f s (%.2f GB/s), load %.2f s (%.2f GB/s)\n", disk / load / (mib / cat), cat, mib / cat / 953.67,
            load, disk / load / 953.67
    }' | tee -a "$scratch/rounds"
done
# The median, for other programs disturb single rounds.
sort -n "$scratch/rounds" | awk -F : -v least="$least" '
    { ratio[NR] = $1 }
    END {
        median = ratio[int((NR + 1) / 2)]
        printf "load / cat: %.2f in the median, %.2f to %.2f, at least %s\n", median, ratio[1], ratio[NR], least
        exit median < least
    }'
