#!/usr/bin/env bash
# fidelity-bounds.sh dense|moe: what the formats may cost, through the whole stack: stock llama-perplexity, the plugin and
# the emulator, against the F16 file on the CPU; as multiples of the mean KLD of llama.cpp's own quantizations. Plain and
# with outlier channels.
#
# Evaluated is a file made of the beginning of eval.txt, calibrated with one made of its end. docs/measurements/fidelity.md
# has the figures of more chunks, and the bounds that are missed there. The MoE model gets twice the chunks: a token that
# goes to another expert moves the mean of few.
source "$(dirname "$0")/common.sh"
: "${RKNPU:=$build/tools/rknpu/rknpu}"

architecture=$1
case $architecture in
    dense) plain=$dense n_chunks=8 evaluated=20000 two_digits=0.6 ;;
    moe) plain=$moe n_chunks=16 evaluated=40000 two_digits=0.75 ;;
    *) fail "no architecture '$architecture' (dense, moe)" ;;
esac
calibrated=100000 # bytes, as $evaluated
expect "bytes of eval.txt that both texts have" "$((evaluated + calibrated))" '<=' "$(wc -c <"$text")"
head -c "$evaluated" "$text" >"$scratch/text.txt"
tail -c "$calibrated" "$text" >"$scratch/calibration.txt"

rknpu() { # label arguments...
    env GGML_RKNPU_RUNTIME="$EMULATOR" "$RKNPU" "${@:2}" --threads 1 --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" \
        >"$scratch/$1.json" 2>"$scratch/$1.log" </dev/null || { tail -n 5 "$scratch/$1.log"; fail "$1: rknpu $2"; }
}
calibrate() { rknpu "calibrate-$2" calibrate "$1" "$scratch/calibration.txt" -o "$scratch/$2.stats"; }
# measure label reference model [options]: $scratch/<label>.json
measure() {
    rknpu "$1" fidelity "$3" "$scratch/text.txt" --reference "$2" --chunks "$n_chunks" -o "$scratch/report" --json "${@:4}"
}
# kld label run: its mean KLD
kld() {
    awk -v run="\"label\": \"$2\"" \
        'index($0, "\"label\":") { ours = index($0, run) } ours && /"mean_kld":/ { gsub(/[^-0-9.e]/, "", $2); printf "%.6f\n", $2; exit }' \
        "$scratch/$1.json" | grep . || fail "$1: no run '$2'"
}
# bound times label run label-of-reference reference-run
bound() {
    local found other
    found=$(kld "$2" "$3")
    other=$(kld "$4" "$5")
    expect "$2, $3: mean KLD $found, $5 ($4) $other; as a multiple" \
        "$(awk -v a="$found" -v b="$other" 'BEGIN { printf "%.3f", a / b }')" '<=' "$1"
}

# From F16: without any data, and calibrated.
calibrate "$plain" plain
measure free "$plain" "$plain" --formats balanced,w8a16,w4a8 --quantize Q8_0,Q4_0,Q4_K_M
measure calibrated "$plain" "$plain" --formats w8a8,w8a16,w4a8,w4a4 --stats "$scratch/plain.stats"
# Without data the MoE model's 8 bits are above 1 (fidelity.md).
[ "$architecture" = moe ] || bound 1.0 free 'NPU balanced' free 'CPU Q8_0'
bound 1.0 calibrated 'NPU w8a8' free 'CPU Q8_0'
bound "$two_digits" free 'NPU w8a16' free 'CPU Q8_0'
bound "$two_digits" calibrated 'NPU w8a16' free 'CPU Q8_0'
bound 2.2 free 'NPU w4a8' free 'CPU Q4_0'
bound 1.0 calibrated 'NPU w4a8' free 'CPU Q4_0'
bound 4.0 calibrated 'NPU w4a4' free 'CPU Q4_0'

# From files of 4 bits: what the NPU adds to the file's own divergence.
for type in Q4_0 Q4_K_M; do
    "$LLAMA_BIN/llama-quantize" "$plain" "$scratch/$type.gguf" "$type" >"$scratch/quantize.log" 2>&1 </dev/null \
        || fail "llama-quantize $type"
    # Four bits for everything are less than Q4_K_M has, whose head is Q6_K; the preset keeps more there.
    [ "$type" = Q4_0 ] && four=w4a8 || four=speed
    measure "$type" "$plain" "$scratch/$type.gguf" --formats w8a8
    measure "$type-calibrated" "$plain" "$scratch/$type.gguf" --formats "$four" --stats "$scratch/plain.stats"
    bound 1.05 "$type" 'NPU w8a8' free "CPU $type"
    bound 1.9 "$type-calibrated" "NPU $four" free "CPU $type"
done

# With outlier channels.
"$TOOL" "$plain" "$scratch/outliers.gguf" >"$scratch/channels.txt"
calibrate "$scratch/outliers.gguf" outliers
measure outliers "$scratch/outliers.gguf" "$scratch/outliers.gguf" --formats w8a8,w4a8 --quantize Q8_0
measure outliers-calibrated "$scratch/outliers.gguf" "$scratch/outliers.gguf" --formats w8a8,w4a8 \
    --stats "$scratch/outliers.stats"
bound 0.3 outliers 'NPU w8a8' outliers 'CPU Q8_0'
bound 0.3 outliers-calibrated 'NPU w8a8' outliers 'CPU Q8_0'
bound 1.1 outliers 'NPU w4a8' free 'NPU w4a8'
bound 1.1 outliers-calibrated 'NPU w4a8' calibrated 'NPU w4a8'
