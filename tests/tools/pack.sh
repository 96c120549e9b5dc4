#!/usr/bin/env bash
# rknpu pack with a stand-in of llama-completion: what it is told, and each line about a mistake. With the real one it is
# tested in tests/e2e/store.sh.
# shellcheck source=tests/tools/common.sh
source "$(dirname "$0")/common.sh"

call=(pack model.gguf "${programs[@]}" -o model.rknpu)

run "${call[@]}" --format w4a8 --stats text.txt
expect_code 0
[ "$(cat model.rknpu)" = "pack w4a8 $scratch/text.txt off" ] || fail "settings: $(cat model.rknpu)"
expect_in err 'packed 1 of 2 MiB'
expect_in err 'model.rknpu is written .*; GGML_RKNPU_STORE=model.rknpu GGML_RKNPU_FORMAT=w4a8 GGML_RKNPU_STATS=text.txt uses it'
! compgen -G '*.partial*' || fail "left over: $(ls)"

FAKE_MODE=fails run "${call[@]}"
expect_error 1 'did not load the whole model \(exit code 1\): .*not within the file bounds; its log: model.rknpu.partial.log'
FAKE_MODE=silent run "${call[@]}"
expect_error 1 'packed weights are not kept for the next time: the disk is full'
FAKE_MODE=idle run "${call[@]}"
expect_error 1 'the plugin packed nothing; build it anew'
[ -s model.rknpu ] || fail "a failed call took the old file away"
run pack model.gguf
expect_error 2 '--output is required'
mkdir folder
run pack model.gguf -o folder
expect_error 2 "'folder' is a folder; give a file"
run pack none.gguf -o model.rknpu
expect_error 2 "model: no file 'none.gguf'"
run "${call[@]}" --stats none.stats
expect_error 2 "statistics: no file 'none.stats'"
run pack model.gguf -o model.rknpu --llama-bin "$scratch"
expect_error 2 "no program '.*llama-completion'"
run pack model.gguf -o model.rknpu --llama-bin "$here/fake-llama" --plugin none.so
expect_error 2 "no plugin 'none.so'"
run pack model.gguf "${programs[@]}" -o none/model.rknpu
expect_error 1 "cannot write 'none/model.rknpu"
GGML_RKNPU_RUNTIME=none.so run "${call[@]}"
expect_error 1 'no NPU: .*none.so'
