#!/usr/bin/env bash
# Measures how faithful every format is on the bundled models, plain and with outlier channels, and prints the bounds of
# the project with what was found, as the tables of docs/measurements/fidelity.md. Emulated: exact, but not fast.
#
#   scripts/fidelity.sh [folder [model...]]   models: dense dense-outliers moe moe-outliers (all); the folder is kept
#
# Environment: CHUNKS (16) of eval.txt are measured, from its beginning; its last CALIBRATION bytes (150000) calibrate.
# Invariant: the two never overlap. `rknpu fidelity` makes every figure; a second call with the same folder goes on.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

chunks=${CHUNKS:-16}
calibration=${CALIBRATION:-150000}
folder=${1:-$repo/build/fidelity}
models=("${@:2}")
[ ${#models[@]} -gt 0 ] || models=(dense dense-outliers moe moe-outliers)

"$repo/scripts/build.sh" release
llama_bin=$("$repo/scripts/llama-cpp.sh")
rknpu=$repo/build/tools/rknpu/rknpu
# A user's settings must not change what is measured.
for variable in $(compgen -v | grep -E '^(GGML_RKNPU_|RKNN_EMU_|LLAMA_ARG_)' || true); do unset "$variable"; done
export GGML_RKNPU_RUNTIME=$repo/build/emulator/librknnrt.so

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
export GGML_RKNPU_LOCK=$folder/lock RKNN_EMU_NPU=$folder/npu
text=$repo/models/eval.txt
tail -c "$calibration" "$text" >"$folder/calibration.txt"
# A chunk of 512 tokens is about 1560 bytes of this text; 3000 leave room.
[ $((chunks * 3000 + calibration)) -le "$(wc -c <"$text")" ] \
    || die "CHUNKS=$chunks and CALIBRATION=$calibration overlap in eval.txt; take less of one of them"
results=$folder/results.tsv

# measure name case model-file [rknpu fidelity options]: a line for each run, "name case run ppl kld kld99 same_top".
# The reference's logits are kept in the folder of the name.
measure() {
    local name=$1 case=$2 file=$3
    shift 3
    say "$name, $case"
    "$rknpu" fidelity "$file" "$text" --reference "$folder/$name.gguf" --chunks "$chunks" --llama-bin "$llama_bin" \
        -o "$folder/$name" --json "$@" >"$folder/report.json" 2>"$folder/fidelity.log" </dev/null \
        || { tail -n 3 "$folder/fidelity.log" >&2; die "rknpu fidelity failed; whole log: $folder/fidelity.log"; }
    awk -v OFS='\t' -v name="$name" -v case="$case" '
        { value = $2; gsub(/[",]/, "", value) }
        /"label":/ { run = $0; gsub(/.*": "|",$/, "", run) }
        /"ppl":/ { ppl = value }
        /"mean_kld":/ { kld = value }
        /"kld_99":/ { rare = value }
        /"same_top":/ && kld != "null" { printf "%s\t%s\t%s\t%s\t%.6f\t%.6f\t%s\n", name, case, run, ppl, kld, rare, value }
        ' "$folder/report.json" >>"$results"
}

calibrate() { # model-file output
    [ -f "$2" ] || "$rknpu" calibrate "$1" "$folder/calibration.txt" -o "$2" --llama-bin "$llama_bin" \
        2>"$folder/calibrate.log" </dev/null || { tail -n 3 "$folder/calibrate.log" >&2; die "rknpu calibrate failed"; }
}

prepare() { # name: the model, its calibration and importance matrix, its files of 4 bits
    local name=$1 file=$folder/$1.gguf base=$repo/models/tiny-gemma3-f16.gguf type
    [[ $name = dense* ]] || base=$repo/models/tiny-gemma4-moe-f16.gguf
    case $name in
        dense | moe) cp "$base" "$file" ;;
        dense-outliers | moe-outliers) "$repo/build/tools/outliers/rknpu-make-outliers" "$base" "$file" >/dev/null ;;
        *) die "no model '$name' (dense, dense-outliers, moe, moe-outliers)" ;;
    esac
    touch -r "$base" "$file" # so a second call knows it again
    calibrate "$file" "$folder/$name.stats"
    [ -f "$folder/$name.imatrix" ] || "$llama_bin/llama-imatrix" -m "$file" -f "$folder/calibration.txt" -c 512 \
        --device none -o "$folder/$name.imatrix" >"$folder/imatrix.log" 2>&1 </dev/null || die "llama-imatrix failed"
    for type in Q4_0 Q4_K_M; do
        [ -f "$folder/$name-$type.gguf" ] || "$llama_bin/llama-quantize" "$file" "$folder/$name-$type.gguf" "$type" \
            >"$folder/quantize.log" 2>&1 </dev/null || die "llama-quantize failed; see $folder/quantize.log"
        calibrate "$folder/$name-$type.gguf" "$folder/$name-$type.stats"
    done
}

measure_all() { # name
    local name=$1 file=$folder/$1.gguf type
    prepare "$name"
    measure "$name" free "$file" --formats w8a8,balanced,w8a16,w4a8,w4a4 --quantize Q8_0,Q4_0,Q4_K_M
    measure "$name" moments "$file" --formats w8a8,balanced,w8a16,w4a8,w4a4 --stats "$folder/$name.stats"
    measure "$name" imatrix "$file" --formats w8a8,w4a8 --stats "$folder/$name.imatrix"
    for type in Q4_0 Q4_K_M; do
        measure "$name" "$type-free" "$folder/$name-$type.gguf" --formats w8a8,w4a8,speed
        measure "$name" "$type-moments" "$folder/$name-$type.gguf" --formats w8a8,w4a8,speed \
            --stats "$folder/$name-$type.stats"
    done
    GGML_RKNPU_SCALES=nearest measure "$name" nearest "$file" --formats w8a8,w4a8
    GGML_RKNPU_SCALES=absmax measure "$name" absmax "$file" --formats w8a8,w4a8
    GGML_RKNPU_SCALES=kl measure "$name" kl "$file" --formats w8a8,w4a8
    GGML_RKNPU_BALANCE=none measure "$name" unbalanced "$file" --formats w8a8,w4a8
    GGML_RKNPU_ROTATION=none measure "$name" unrotated "$file" --formats w8a8,w4a8
    GGML_RKNPU_BALANCE=none GGML_RKNPU_ROTATION=none measure "$name" plain "$file" --formats w8a8,w4a8
}

: >"$results"
for name in "${models[@]}"; do measure_all "$name"; done
echo "$chunks chunks of eval.txt; calibrated with its last $calibration bytes; $(date +%F); EMULATED"
awk -F '\t' -f "$repo/scripts/fidelity.awk" "$results"
