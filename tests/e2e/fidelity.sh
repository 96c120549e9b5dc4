#!/usr/bin/env bash
# rknpu fidelity on a bundled model, 2 chunks: the figures are llama.cpp's, their order is the formats', and a second call
# measures nothing anew.
source "$(dirname "$0")/common.sh"
: "${RKNPU:=$build/tools/rknpu/rknpu}"

report=$scratch/report
fidelity() { # options...: $scratch/report.json (the command's stdout) and its log
    env GGML_RKNPU_RUNTIME="$EMULATOR" "$RKNPU" fidelity "$dense" "$text" --chunks 2 --threads 1 --llama-bin "$LLAMA_BIN" \
        --plugin "$PLUGIN" -o "$report" --json "$@" >"$scratch/report.json" 2>"$scratch/fidelity.log" </dev/null \
        || { tail -n 5 "$scratch/fidelity.log"; fail "rknpu fidelity"; }
}
# figure label name: of a run in the report, or of the reference
figure() {
    awk -v label="\"label\": \"$1\"" -v name="\"$2\":" \
        'index($0, "\"label\":") { ours = index($0, label) } ours && index($0, name) { gsub(/[^-0-9.e]/, "", $2); printf "%.8f\n", $2; exit }' \
        "$scratch/report.json" | grep .
}

fidelity --formats w16a16,w8a8 --quantize Q8_0
cpu="CPU $(basename "$dense")"
expect "perplexity of the reference, as llama-perplexity alone finds it" "$(figure "$cpu" ppl)" == "$(perplexity on_cpu "$dense" 2)"
expect "perplexity of w16a16 against it, in percent" "$(relative "$(figure 'NPU w16a16' ppl)" "$(figure "$cpu" ppl)")" '<' 0.1
expect "mean KLD of w16a16" "$(figure 'NPU w16a16' mean_kld)" '<' 0.00002
expect "mean KLD of w8a8 (emulated)" "$(figure 'NPU w8a8' mean_kld)" '>' "$(figure 'NPU w16a16' mean_kld)"
expect "mean KLD of w8a8 (emulated), against ten times the CPU's Q8_0" "$(figure 'NPU w8a8' mean_kld)" '<' \
    "$(awk -v q="$(figure 'CPU Q8_0' mean_kld)" 'BEGIN { printf "%.8f", 10 * q }')"
expect "same most likely token with w16a16, percent" "$(figure 'NPU w16a16' same_top)" '>' 99
grep -q '"emulated": true' "$scratch/report.json" || fail "the report does not say that the NPU was emulated"
grep -q 'tensors: .* on the NPU as w8a8' "$scratch/report.json" || fail "the report does not say what ran on the NPU"
grep -q '<svg' "$report/report.html" || fail "no plots in the page"

before=$(find "$report" -name '*.log' -printf '%f %T@\n' | sort)
fidelity --formats w16a16,w8a8 --quantize Q8_0
[ "$before" = "$(find "$report" -name '*.log' -printf '%f %T@\n' | sort)" ] || fail "the second call measured again"
expect "runs found again" "$(grep -c '(stored)' "$scratch/fidelity.log")" == 4
