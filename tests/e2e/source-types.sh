#!/usr/bin/env bash
# Every type of weight that llama-quantize writes is a source: the plugin takes all matrices of the file to the NPU, and
# the perplexity is the CPU's for the same file. Types that llama-quantize refuses are named with its reason.
#
# The bound. With w8a8 the logits of both sides differ by the rounding of 8 bits only, a KL divergence of about 0.0001
# each. The log-probability of a token then differs with a standard deviation of sqrt(2 * 0.0002) = 0.02, their mean over
# the 256 tokens of a chunk with 0.00125, and four times that is 0.5 %. The divergence between the two sides is bounded too:
# 0.0003 at most was measured here, with the types whose activations ggml rounds in blocks of 256.
source "$(dirname "$0")/common.sh"

: "${RKNPU:=$build/tools/rknpu/rknpu}"

percent=0.5
kld=0.0005
matrices=43
# The file is measured as it is: the matrices that a type cannot hold (rows of 384 are no multiple of 256) have another.
whole=(f32 f16 bf16 q8_0 q6_K q5_K q5_1 q5_0 q4_K q4_1 q4_0 iq4_nl iq4_xs mxfp4 nvfp4 q3_K q2_K)
# In all layers these would leave a model that knows nothing, where a rounding means much; so they share files with Q8_0.
in_one_layer=(q2_0 q1_0 tq1_0 tq2_0)
# The same, and llama-quantize takes seconds to prepare each: one file with a layer of each pair.
slow_to_make=(iq3_s iq3_xxs iq2_s iq2_xs iq2_xxs iq1_m iq1_s)

# What llama-quantize offers by name is one of these types or a mixture of them.
type_of_name() {
    case $1 in
        MXFP4_MOE) echo mxfp4 ;; # in experts only, so --tensor-type is used
        Q?_K | Q?_K_?) echo "q${1:1:1}_K" ;;
        IQ2_M) echo iq2_s ;;
        IQ3_XS | IQ3_M) echo iq3_s ;;
        *) echo "${1,,}" ;;
    esac
}
known=" ${whole[*]} ${in_one_layer[*]} ${slow_to_make[*]} copy "
"$LLAMA_BIN/llama-quantize" --help >"$scratch/help.txt" 2>&1 || true
sed -n '/allowed quantization types/,$s/^ *[0-9]*\( *or *\)\? \+\([A-Z0-9_]\+\) *:.*/\2/p' "$scratch/help.txt" >"$scratch/names.txt"
expect "types that llama-quantize offers" "$(wc -l <"$scratch/names.txt")" '>=' 30
while read -r offered; do
    [[ $known = *" $(type_of_name "$offered") "* ]] || fail "llama-quantize offers $offered, which this test does not know"
done <"$scratch/names.txt"

# Two texts that do not overlap.
tail -c 20000 "$text" >"$scratch/other.txt"
head -c 20000 "$text" >"$scratch/text.txt"
text=$scratch/text.txt
"$LLAMA_BIN/llama-imatrix" -m "$dense" -f "$scratch/other.txt" -c 512 --chunks 4 "${threads[@]}" -o "$scratch/imatrix.gguf" \
    >"$scratch/imatrix.log" 2>&1 </dev/null || fail "llama-imatrix"

# make label [--tensor-type ...]: $scratch/model.gguf, all matrices in Q8_0 but for the options. Fails with llama's line.
make_model() {
    local label=$1
    shift
    "$LLAMA_BIN/llama-quantize" --imatrix "$scratch/imatrix.gguf" "$@" "$dense" "$scratch/model.gguf" Q8_0 2 \
        >"$scratch/$label.log" 2>&1 </dev/null || { grep -iE 'error|fail|requires' "$scratch/$label.log" | head -n 1; return 1; }
}

# expect_on_npu label [options of rknpu fidelity]: model.gguf is multiplied by the NPU and has the perplexity of the CPU.
expect_on_npu() {
    local label=$1 cpu matrices_there
    env GGML_RKNPU_RUNTIME="$EMULATOR" "$RKNPU" fidelity "$scratch/model.gguf" "$text" --format balanced "${@:2}" --chunks 1 --threads "${threads[1]}" \
        --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" -o "$scratch/report" --json >"$scratch/report.json" 2>"$scratch/fidelity.log" \
        </dev/null || { tail -n 5 "$scratch/fidelity.log"; fail "$label: rknpu fidelity"; }
    cpu=$(figure ppl | head -n 1)
    npu=$(figure ppl | tail -n 1)
    matrices_there=$(grep -o '[0-9]* on the NPU as' "$scratch/report.json" | awk '{ n += $1 } END { print n + 0 }')
    expect "$label: matrices on the NPU" "$matrices_there" == "$matrices"
    expect "$label: perplexity $npu (emulated), CPU $cpu, difference in percent" "$(relative "$npu" "$cpu")" '<' "$percent"
    expect "$label: mean KLD from the CPU" "$(figure mean_kld | tail -n 1)" '<' "$kld"
}
figure() { sed -n "s/^ *\"$1\": \([0-9][-0-9.e]*\),*\$/\1/p" "$scratch/report.json" | awk '{ printf "%.6f\n", $1 }'; }
# expect_type type least: so many matrices have it.
expect_type() {
    [ "$1" = f16 ] || expect "$1: matrices of this type" "$(grep -ic "converting to $1 " "$scratch/$2.log")" '>=' "$3"
}

refused=()
for type in "${whole[@]}"; do
    why=$(make_model "$type" --tensor-type ".*=$type" --token-embedding-type "$type") || { refused+=("$type: $why"); continue; }
    expect_type "$type" "$type" 36
    expect_on_npu "$type"
done
for type in "${in_one_layer[@]}"; do
    why=$(make_model "$type" --tensor-type "blk\\.2\\.(attn|ffn_gate|ffn_up).*=$type") || { refused+=("$type: $why"); continue; }
    expect_type "$type" "$type" 6
    expect_on_npu "$type"
done
options=()
for i in "${!slow_to_make[@]}"; do
    roles=(attn_q attn_output ffn_gate ffn_up)
    options+=(--tensor-type "blk\\.$((i / 4 + 2))\\.${roles[i % 4]}=${slow_to_make[i]}")
done
make_model iq "${options[@]}" || fail "llama-quantize refuses the small IQ types"
for type in "${slow_to_make[@]}"; do expect_type "$type" iq 1; done
expect_on_npu "${slow_to_make[*]}"
[ ${#refused[@]} -eq 0 ] || fail "llama-quantize refused: $(printf '%s; ' "${refused[@]}")"

# Statistics from an importance matrix: balancing uses them (so the figure is another one), and the result stays right.
"$TOOL" "$dense" "$scratch/model.gguf" >"$scratch/channels.txt"
"$LLAMA_BIN/llama-imatrix" -m "$scratch/model.gguf" -f "$scratch/other.txt" -c 512 --chunks 4 "${threads[@]}" \
    -o "$scratch/outliers.gguf" >"$scratch/imatrix.log" 2>&1 </dev/null || fail "llama-imatrix"
expect_on_npu "outlier channels, balanced without data"
without=$npu
expect_on_npu "outlier channels, balanced by an importance matrix" --stats "$scratch/outliers.gguf"
[ "$npu" != "$without" ] || fail "the importance matrix changed nothing"
pass "without it the perplexity is $without"
