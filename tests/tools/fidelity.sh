#!/usr/bin/env bash
# rknpu fidelity with stand-ins of llama.cpp's programs: what it calls, what it stores and finds again, Ctrl-C, and each
# line about a mistake.
# shellcheck source=tests/tools/common.sh
source "$(dirname "$0")/common.sh"

call=(fidelity model.gguf text.txt "${programs[@]}" --chunks 8 -o report)
# shellcheck disable=SC2054 # commas of an option
everything=("${call[@]}" --reference reference.gguf --formats w16a16,w8a8 --quantize Q8_0)
base='base - none'
cpu='kld - none'

# 1. A whole measurement, then the same again: nothing is run, the report is the same.
run "${everything[@]}"
expect_code 0
expect_calls "$base" "$cpu" 'quantize Q8_0' "$cpu" 'kld w16a16 RKNPU0 plugin' 'kld w8a8 RKNPU0 plugin'
expect_in out 'CPU model.gguf +15.5390 +0.8848 +0.000098 +0.000002 +0.000364 +99.510 +1.000 +1.000'
expect_in out 'NPU w8a8 +15.5390'
expect_in out 'tensors: +3 on the NPU as w8a8'
expect_in out 'EMULATED'
expect_in report/report.json '"mean_kld": 9.8e-05'
expect_in report/report.html '<svg'
expect_in report/report.html 'too &lt;thin&gt;'
expect_in report/report.html 'emulated'
! grep -qE '(src|href)=|https?:|@import|url\(' report/report.html || fail "the page needs something from outside"
! compgen -G 'report/*.partial' || fail "left over: $(ls report)"
! compgen -G 'report/*.gguf' || fail "left over: $(ls report)"
cp report/report.json first.json
run "${everything[@]}"
expect_code 0
no_calls
cmp report/report.json first.json
echo "ok: a second call runs nothing"

# 2. One more format is one more run; other inputs are other runs.
run "${everything[@]}" --format 'ffn_down=w8a8,output=w4a8'
expect_calls 'kld ffn_down=w8a8,output=w4a8 RKNPU0 plugin'
echo 'More words.' >>text.txt
run "${call[@]}" --formats w8a8
expect_calls "$base" 'kld w8a8 RKNPU0 plugin'
echo 'a new build' >plugin.so
run "${call[@]}" --formats w8a8
expect_calls 'kld w8a8 RKNPU0 plugin'
GGML_RKNPU_ROTATION=none run "${call[@]}" --formats w8a8
expect_calls 'kld w8a8 RKNPU0 plugin'
GGML_RKNPU_LOCK=$scratch/other-lock LLAMA_ARG_CTX_SIZE=77 run "${call[@]}" --formats w8a8
no_calls
printf rknpstat >model.stats
run "${call[@]}" --formats w8a8 --stats model.stats
expect_calls 'kld w8a8 RKNPU0 plugin stats=model.stats'
run "${call[@]}" --formats presets
expect_calls 'kld quality RKNPU0 plugin' 'kld balanced RKNPU0 plugin' 'kld speed RKNPU0 plugin'
run "${call[@]}" --formats w8a8 --json
"$RKNPU" "${call[@]}" --formats w8a8 --json 2>/dev/null | cmp - report/report.json
cp model.gguf "$(printf 'mod\377el.gguf')"
run fidelity "$(printf 'mod\377el.gguf')" text.txt "${programs[@]}" --chunks 8 -o report --formats w8a8 # not UTF-8
expect_code 0
echo "ok: what was measured is told apart by its inputs"

# 3. Logits that are not whole are made again, and damaged results are not believed.
rm -r report
run "${call[@]}" --formats w8a8
truncate -s -1 report/*.kld
run "${call[@]}" --formats w8a8,w16a16
expect_calls "$base" 'kld w16a16 RKNPU0 plugin'
stored=(report/npu-*.json)
echo '{' >"${stored[0]}"
run "${call[@]}" --formats w8a8,w16a16
expect_code 0
[ "$(wc -l <calls)" -eq 1 ] || fail "a damaged result: $(cat calls)"
rm -r report
FAKE_CUT=base run "${call[@]}" --formats w8a8
expect_error 1 'logits .* not complete; is the disk full'
! compgen -G 'report/*.kld*' || fail "logits that are not whole were kept"

# 4. Ctrl-C: while the logits are written, and later; what is finished stays.
interrupt '^base' "${call[@]}" --formats w8a8,w16a16
! compgen -G 'report/*.kld*' || fail "logits that are not whole were kept"
expect_in err '0 of 3 runs are stored in report, the same command goes on there'
how=STUBBORN interrupt 'w16a16' "${call[@]}" --formats w8a8,w16a16
expect_calls "$base" 'kld w8a8 RKNPU0 plugin' 'kld w16a16 RKNPU0 plugin'
expect_in err '2 of 3 runs are stored'
! compgen -G 'report/*.partial' || fail "left over: $(ls report)"
run "${call[@]}" --formats w8a8,w16a16
expect_code 0
expect_calls 'kld w16a16 RKNPU0 plugin'
echo "ok: Ctrl-C, and on from there"

# 5. Statistics that llama.cpp lost at its exit are asked for again, three times in all.
FAKE_SILENT=kld run "${call[@]}" --formats w4a8
expect_error 1 'did not print its statistics'
expect_calls 'kld w4a8 RKNPU0 plugin' 'kld w4a8 RKNPU0 plugin' 'kld w4a8 RKNPU0 plugin'

# 6. Mistakes.
run fidelity
expect_code 2
run fidelity none.gguf text.txt "${programs[@]}"
expect_error 2 "model: no file 'none.gguf'; give the path of a .gguf file"
run fidelity text.txt text.txt "${programs[@]}"
expect_error 2 'model: .*is not a GGUF file'
run "${call[@]}" --reference none.gguf
expect_error 2 "reference: no file 'none.gguf'"
run fidelity model.gguf none.txt "${programs[@]}"
expect_error 2 "text: .*none.txt"
run "${call[@]}" --formats w3a7
expect_error 2 "'w3a7' is neither a format .w16a16, .* nor a preset .quality, balanced, speed"
run "${call[@]}" --stats none.stats
expect_error 2 "no file 'none.stats'; give a file of rknpu calibrate or llama-imatrix"
echo 'no statistics' >words.stats
run fidelity model.gguf text.txt "${programs[@]}" --stats words.stats
expect_error 2 "'words.stats' is no file of statistics; give one of rknpu calibrate or llama-imatrix"
run fidelity model.gguf text.txt "${programs[@]}" --formats ''
expect_error 2 'an empty one; leave it out'
run fidelity model.gguf text.txt "${programs[@]}" --chunks 1 --ctx 128
expect_error 2 'fewer than 100; raise one of them'
run fidelity model.gguf text.txt --llama-bin "$scratch"
expect_error 2 "no program '.*llama-perplexity'; give --llama-bin"
run fidelity model.gguf text.txt --llama-bin "$here/fake-llama" --plugin none.so
expect_error 2 "no plugin 'none.so'; give --plugin the path of libggml-rknpu.so"
GGML_RKNPU_RUNTIME=none.so run "${call[@]}"
expect_error 1 'no NPU: .*none.so'
run fidelity model.gguf text.txt "${programs[@]}" -o text.txt
expect_error 2 "cannot write to the folder 'text.txt'"
exec 8<report
flock 8
run "${call[@]}"
expect_error 1 "another rknpu fidelity works in 'report'"
exec 8<&-
rm -r report
run "${call[@]}" --quantize q8_0,Q9_9
expect_error 2 "--quantize: llama-quantize has no type 'Q9_9'; use one of Q4_0, Q8_0"
no_calls
[ ! -e report ] || fail "left over: $(ls report)"
run "${call[@]}" --quantize Q4_0
expect_error 1 'llama-quantize cannot make Q4_0 .*is it one of its types'
rm -r report
FAKE_SHORT=base run "${call[@]}"
expect_error 2 "text: 'text.txt' is too short: it has 929 tokens and 1024 are needed .*give a longer text or a smaller --ctx"
[ ! -e report ] || fail "left over: $(ls report)"
FAKE_FAIL=base run "${call[@]}"
expect_error 1 "exit code 1: llama_model_load: error loading model: .*corrupted or incomplete; its log: report/"
FAKE_KILL=base run "${call[@]}"
expect_error 1 'ended by signal 9 .*out of memory'
FAKE_OTHER=kld run "${call[@]}" --reference reference.gguf --formats w8a8
expect_error 2 'another vocabulary than the reference; give --reference'
FAKE_NODEVICE=RKNPU0 run "${call[@]}" --formats w8a8
expect_error 1 'does not list the device RKNPU0; the plugin must be built for this llama.cpp'
FAKE_IDLE=w8a8 run "${call[@]}" --formats w8a8
expect_error 1 'the plugin computed nothing'
FAKE_COMPLAIN=w8a8 run "${call[@]}" --formats w8a8
expect_error 2 "the plugin says: format 'w8a8' is not known"
FAKE_ELSEWHERE=w8a8 run "${call[@]}" --formats w8a8
expect_error 1 'put no tensor on the NPU in this format'
! compgen -G 'report/npu-*.json' || fail "a failed run was stored"
