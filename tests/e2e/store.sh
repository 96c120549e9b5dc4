#!/usr/bin/env bash
# Packed weights on disk: the cache, a file of `rknpu pack`, damage, other settings, without mmap; the text is always that of
# weights that were converted.
source "$(dirname "$0")/common.sh"
: "${RKNPU:=$build/tools/rknpu/rknpu}"
export GGML_RKNPU_FORMAT=w4a8
seconds=240

fresh=0
# load label words [arguments]: the greedy text is that of the conversion, and the plugin said the words.
load() {
    local label=$1 words=$2
    shift 2
    write_text on_npu "$label" -m "$dense" -v "$@"
    expect "$label: exit code" "$code" == 0
    if [ "$fresh" -eq 0 ]; then fresh=1; else expect_text "$label" converted; fi
    expect_line "$label" "$words"
}

load converted 'on the NPU'

# 1. The cache: the first load fills it, the second reads it, with and without mmap.
export GGML_RKNPU_STORE=$scratch/cache GGML_RKNPU_SUMMARY=$scratch/summary RKNN_EMU_STATS=$scratch/emu.json
load first '0 were read from disk, [1-9][0-9]* converted, [1-9][0-9]* written to'
load second '[1-9][0-9]* were read from disk, 0 converted'
grep -qE 'loading: .* of which [1-9][0-9.]* MiB were packed weights from disk' "$scratch/summary" || fail "summary: $(cat "$scratch/summary")"
load no-mmap '[1-9][0-9]* were read from disk, 0 converted' --load-mode none
[ "$(find "$scratch/cache" -type f | wc -l)" -eq 1 ] || fail "files in the cache: $(ls "$scratch/cache")"

# 2. Damage: every kind is said, the text is the same.
file=$(echo "$scratch"/cache/*.rknpu)
cp "$file" "$scratch/whole"
size=$(stat -c %s "$file")
for kind in flip-early flip-middle flip-late truncated version zeros; do
    rm -rf "$scratch/cache" && mkdir "$scratch/cache" && cp "$scratch/whole" "$file"
    case $kind in
        flip-early) printf '\xa5' | dd of="$file" bs=1 seek=40 conv=notrunc status=none ;;
        flip-middle) printf '\xa5\x5a' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none ;;
        flip-late) printf '\xa5\x5a' | dd of="$file" bs=1 seek=$((size - 5000)) conv=notrunc status=none ;;
        truncated) truncate -s $((size / 3)) "$file" ;;
        version) printf '\x07' | dd of="$file" bs=1 seek=8 conv=notrunc status=none ;;
        zeros) dd if=/dev/zero of="$file" bs=4096 seek=$((size / 8192)) count=1 conv=notrunc status=none ;;
    esac
    load "$kind" 'damaged|ends early'
done

# 3. Other settings and another model find nothing in the file of this one, and say so.
export GGML_RKNPU_STORE=$scratch/packed.rknpu
"$RKNPU" settings >/dev/null
GGML_RKNPU_RUNTIME=$EMULATOR "$RKNPU" pack "$dense" -o "$scratch/packed.rknpu" --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" \
    --format w4a8 2>"$scratch/pack.err" || fail "rknpu pack: $(cat "$scratch/pack.err")"
grep -E 'packed\.rknpu is written \([0-9.]+ MiB\); GGML_RKNPU_STORE=' "$scratch/pack.err" || fail "rknpu pack said: $(cat "$scratch/pack.err")"
[ -z "$(find "$scratch" -name 'packed*partial*')" ] || fail "left over: $(ls "$scratch")"
load packed '[1-9][0-9]* were read from disk, 0 converted'
packed=$(cksum <"$scratch/packed.rknpu")
GGML_RKNPU_FORMAT=w8a8 write_text on_npu stale -m "$dense" -v
GGML_RKNPU_FORMAT=w8a8 GGML_RKNPU_STORE=off write_text on_npu stale-converted -m "$dense"
expect_text stale stale-converted
expect_line stale 'packed.rknpu has nothing for ([0-9]+) of \1 weights of this model with these settings; they were converted; pack'
[ "$(cksum <"$scratch/packed.rknpu")" = "$packed" ] || fail "the user's file was changed"

# 4. Ctrl-C while packing: what is whole is kept, and the same command goes on to the same bytes. An attempt in which packing
# was faster than the signal shows nothing and is made again.
for attempt in 1 2 3 4 5 6 7 8; do
    GGML_RKNPU_RUNTIME=$EMULATOR "$RKNPU" pack "$dense" -o "$scratch/again.rknpu" --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" \
        --format w4a8 2>"$scratch/pack.err" &
    packing=$!
    background+=("$packing")
    tries=0
    until [ -s "$scratch/again.rknpu.partial" ] || [ -e "$scratch/again.rknpu" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 6000 ] || fail "nothing is packed: $(cat "$scratch/pack.err")"
        sleep 0.01
    done
    kill -INT "$packing" 2>/dev/null || true
    code=0
    wait "$packing" || code=$?
    [ -e "$scratch/again.rknpu" ] || break
    echo "attempt $attempt: packed before the signal came"
    rm "$scratch/again.rknpu"
done
expect "exit code after Ctrl-C" "$code" == 130
grep -E 'interrupted; [0-9]+ of [0-9]+ MiB are packed, the same command goes on' "$scratch/pack.err" || fail "$(cat "$scratch/pack.err")"
[ -s "$scratch/again.rknpu.partial" ] || fail "what was whole is gone: $(ls "$scratch")"
GGML_RKNPU_RUNTIME=$EMULATOR "$RKNPU" pack "$dense" -o "$scratch/again.rknpu" --llama-bin "$LLAMA_BIN" --plugin "$PLUGIN" \
    --format w4a8 2>"$scratch/pack.err" || fail "rknpu pack: $(cat "$scratch/pack.err")"
cmp "$scratch/packed.rknpu" "$scratch/again.rknpu" || fail "another file than in one go"
pass "packing in two goes gives the same file"
