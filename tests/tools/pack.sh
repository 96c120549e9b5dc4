#!/usr/bin/env bash
# rknpu pack with a stand-in of llama-completion: what it is told, and each line about a mistake. With the real one it is
# tested in tests/e2e/store.sh.
# shellcheck source=tests/tools/common.sh
source "$(dirname "$0")/common.sh"

call=(pack model.gguf "${programs[@]}" -o model.rknpu)

printf rknpstat >some.stats
run "${call[@]}" --format w4a8 --stats some.stats
expect_code 0
[ "$(cat model.rknpu)" = "pack w4a8 $scratch/some.stats off" ] || fail "settings: $(cat model.rknpu)"
# each figure once: not a line more for what looks the same
[ "$(grep '^packed' err)" = 'packed 1 of 2 MiB' ] || fail "progress: $(cat err)"
expect_in err 'model.rknpu is written .*; GGML_RKNPU_STORE=model.rknpu GGML_RKNPU_FORMAT=w4a8 GGML_RKNPU_STATS=some.stats uses it'
! compgen -G '*.partial*' || fail "left over: $(ls)"

FAKE_MODE=fails run "${call[@]}"
expect_error 1 'did not load the whole model \(exit code 1\): .*not within the file bounds; its log: model.rknpu.partial.log'
! compgen -G '*.partial' || fail "left over: $(ls)"
rm model.rknpu.partial.log
# The disk is full: the call ends at once with the cause, the cure and what is kept; no log that has nothing to add.
SECONDS=0
FAKE_MODE=full run "${call[@]}"
expect_error 1 '^rknpu pack: cannot write x.rknpu: No space left on device; free some space; 1 of 2 MiB are in model.rknpu.partial, the same command goes on$'
[ "$SECONDS" -lt 30 ] || fail "it went on for $SECONDS s"
[ "$(cat model.rknpu.partial)" = half ] && rm model.rknpu.partial
FAKE_MODE=full-at-once run "${call[@]}"
expect_error 1 '^rknpu pack: cannot write x.rknpu: No space left on device; free some space$'
! compgen -G '*.partial*' || fail "left over: $(ls)"
FAKE_MODE=killed run "${call[@]}"
expect_error 1 'did not load the whole model \(exit code 0, signal 11\)'
# Ctrl-C that comes when the file is there has come too late.
rm model.rknpu
FAKE_MODE=late run "${call[@]}"
expect_code 0
expect_in err 'model.rknpu is written'
[ -s model.rknpu ] || fail "no file"
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
run "${call[@]}" --format w3a7
expect_error 2 "^rknpu pack: --format: 'w3a7' is neither"
GGML_RKNPU_FORMAT=w3a7 run "${call[@]}"
expect_error 2 "^rknpu pack: GGML_RKNPU_FORMAT: 'w3a7' is neither"
no_calls
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
