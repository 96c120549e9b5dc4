#!/usr/bin/env bash
# rknpu calibrate with a stand-in of llama-perplexity: passes until all is complete, Ctrl-C, and each line about a mistake.
# shellcheck source=tests/tools/common.sh
source "$(dirname "$0")/common.sh"

call=(calibrate model.gguf text.txt "${programs[@]}" -o model.stats)
pass='capture w16a16 RKNPU0 plugin'

# 1. One pass where memory is enough; several where it is not.
run "${call[@]}"
expect_code 0
expect_calls "$pass +0"
[ "$(cat model.stats)" = "pass all" ]
expect_in err 'gave 4096 tokens only; at least 8192 are needed' # 8 chunks of 512
! compgen -G '*.partial*' || fail "left over: $(ls)"
rm model.stats
FAKE_PER_PASS=2 run "${call[@]}" --memory 64
expect_code 0
expect_calls "$pass +0" "$pass +1" "$pass +2"
expect_in err 'pass 2: 4 of 5 inputs are complete'
[ "$(cat model.stats)" = "$(printf 'pass 64\npass 64\npass 64')" ]
echo "ok: passes"

# 2. Ctrl-C in the second pass: the first is kept and gone on with, unless the inputs have changed.
rm model.stats
export FAKE_PER_PASS=2
interrupt '[+]1$' "${call[@]}"
[ ! -e model.stats ] || fail "an output before the end"
expect_in err '2 of 5 inputs are complete, the same command goes on'
run "${call[@]}"
expect_code 0
expect_calls "$pass +1" "$pass +2"
expect_in err 'going on with model.stats.partial, 2 of 5 inputs are complete'
[ "$(wc -l <model.stats)" -eq 3 ] || fail "passes: $(cat model.stats)"
interrupt '[+]1$' "${call[@]}"
[ "$(wc -l <model.stats)" -eq 3 ] || fail "the old output was touched"
echo 'Other words.' >>text.txt
run "${call[@]}"
expect_code 0
expect_calls "$pass +0" "$pass +1" "$pass +2"
unset FAKE_PER_PASS
echo "ok: Ctrl-C, and on from there"

# 3. Mistakes.
rm model.stats
run calibrate model.gguf text.txt
expect_error 2 '--output is required'
ln -s text.txt alias.txt
for output in model.gguf alias.txt; do
    sum=$(cksum <"$output")
    run calibrate model.gguf text.txt "${programs[@]}" -o "$output"
    expect_error 2 "'${output/alias/text}' is an input of this call; give another name"
    [ "$(cksum <"$output")" = "$sum" ] || fail "$output was overwritten"
done
run calibrate none.gguf text.txt -o model.stats
expect_error 2 "model: no file 'none.gguf'"
run calibrate model.gguf none.txt -o model.stats
expect_error 2 'text: .*none.txt'
run calibrate model.gguf text.txt -o model.stats --llama-bin "$scratch"
expect_error 2 "no program '.*llama-perplexity'"
run calibrate model.gguf text.txt -o model.stats --llama-bin "$here/fake-llama" --plugin none.so
expect_error 2 "no plugin 'none.so'"
run calibrate model.gguf text.txt "${programs[@]}" -o none/model.stats
expect_error 1 "cannot write 'none/model.stats"
GGML_RKNPU_RUNTIME=none.so run "${call[@]}"
expect_error 1 'no NPU: .*none.so'
FAKE_PER_PASS=0 run "${call[@]}"
expect_error 1 'completed no further input; give more with --memory'
FAKE_IDLE=capture run calibrate model.gguf text.txt "${programs[@]}" -o other.stats
expect_error 1 'the plugin collected nothing; build it anew'
rm other.stats.partial.log # which that line named
FAKE_SHORT=capture run calibrate model.gguf text.txt "${programs[@]}" -o other.stats
expect_error 2 'too short'
! compgen -G 'other.stats*' || fail "left over: $(ls)"
FAKE_FULL=capture run calibrate model.gguf text.txt "${programs[@]}" -o other.stats
expect_error 1 'cannot write the statistics x: No space left on device; choose another place'
! compgen -G 'other.stats*' || fail "left over: $(ls)"
# A pass that fails adds nothing to those before it.
FAKE_PER_PASS=2 FAKE_SHORT='[+]1$' run calibrate model.gguf text.txt "${programs[@]}" -o other.stats
expect_error 2 'too short'
[ "$(cat other.stats.partial)" = 'pass all' ] || fail "passes: $(cat other.stats.partial)"
FAKE_PER_PASS=2 run calibrate model.gguf text.txt "${programs[@]}" -o other.stats
expect_code 0
expect_in err 'going on with other.stats.partial, 2 of 5 inputs are complete'
rm other.stats
! compgen -G 'other.stats*' || fail "left over: $(ls)"
[ ! -e model.stats ] || fail "a failed call left an output"
[ ! -e other.stats ] || fail "a failed call left an output"
