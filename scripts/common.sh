# Sourced by the other scripts: where things are, and how a script speaks.
# shellcheck shell=bash

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { echo "ggml-rknpu: $*" >&2; }
die() { say "$*"; exit 1; }

# show_progress what: how far ninja is, by the lines "[12/345] ..." of its output, on stderr. Written over on a terminal,
# otherwise a line for each tenth; nothing for a few steps.
show_progress() {
    local line tenth shown=0
    while IFS= read -r line; do
        [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
        if [ -t 2 ]; then
            printf '\r\033[K%s: step %d of %d' "$1" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" >&2
            continue
        fi
        tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
        if [ "$tenth" -le "$shown" ] || [ "${BASH_REMATCH[2]}" -lt 30 ]; then continue; fi
        shown=$tenth
        say "$1: step ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
    done
    [ ! -t 2 ] || printf '\r\033[K' >&2
}

plugin_of() { echo "$1/src/backend/libggml-rknpu.so"; }
emulator_of() { echo "$1/emulator/librknnrt.so"; }

# The vendor's runtime of a board with a supported NPU; fails where there is none. Same places as the plugin searches.
board_runtime() {
    grep -aqs 'rockchip,rk3588' /proc/device-tree/compatible || return 1
    local folder
    for folder in /usr/lib /usr/lib/aarch64-linux-gnu /usr/local/lib /usr/lib64 /lib /vendor/lib64; do
        [ -f "$folder/librknnrt.so" ] && { echo "$folder/librknnrt.so"; return 0; }
    done
    return 1
}

# ---- a generated model on the emulated NPU: for scripts that measure how it is loaded ----

# model_option <option> [value]: notes an option that these scripts share, in $layers, $folder or $keep, and how many
# words it has in $taken; false if it is none of them.
layers='' folder=${TMPDIR:-/tmp} keep=''
# shellcheck disable=SC2034 # for the caller
model_option() {
    taken=2
    case $1 in
        --layers) layers=${2:?--layers needs a value} ;;
        --folder) folder=${2:?--folder needs a value} ;;
        --keep) keep=1 taken=1 ;;
        *) return 1 ;;
    esac
}

# make_model <shape>: $model in $folder, where it is used again if it is there, and a folder $scratch; both are deleted at
# exit, the model unless --keep. LLAMA_BIN is set, and the plugin and the emulator are told where they are.
make_model() {
    [ -d "$folder" ] || die "no folder $folder: create it, or give another with --folder"
    local generator=$repo/build/tools/generator/rknpu-make-model
    [ -x "$generator" ] || "$repo/scripts/build.sh" >&2
    eval "$("$repo/scripts/build.sh" --paths)"
    scratch=$(mktemp -d "$folder/$(basename "$0" .sh).XXXXXX")
    model=$folder/$1${layers:+-$layers-layers}.gguf
    trap 'rm -rf "$scratch"; [ -n "$keep" ] || rm -f "$model"' EXIT
    [ -f "$model" ] || "$generator" "$1" "$model" --vocab "$repo/models/tiny-gemma4-moe-f16.gguf" ${layers:+--layers "$layers"}
    export GGML_BACKEND_PATH=$PLUGIN GGML_RKNPU_RUNTIME=$EMULATOR GGML_RKNPU_FORMAT=${GGML_RKNPU_FORMAT:-w4a8}
    export GGML_RKNPU_SUMMARY=$scratch/summary GGML_RKNPU_LOCK=$scratch/lock RKNN_EMU_SHADOW=0 RKNN_EMU_NPU=$scratch/npu
}

# complete [arguments]: stock llama-completion with the model, to its end; text and log in $scratch. $peak: the most memory
# it had, in KiB (VmHWM); $parts: what that was at the largest sample, in words.
# shellcheck disable=SC2034 # for the caller
complete() {
    local pid now anon file shared largest=0 code=0
    peak=0 parts=''
    "$LLAMA_BIN/llama-completion" -m "$model" --temp 0 -no-cnv -t "$(nproc)" --no-warmup "$@" \
        >"$scratch/text" 2>"$scratch/log" </dev/null &
    pid=$!
    while now=$(awk '/^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem)/ { printf "%s ", $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        read -r peak now anon file shared <<<"$now"
        [ "$now" -le "$largest" ] || largest=$now parts="anonymous $((anon / 1024)), of files $((file / 1024)), shared $((shared / 1024))"
        sleep 0.1
    done
    wait "$pid" || code=$?
    [ "$code" -eq 0 ] || { tail -n 20 "$scratch/log" >&2; die "llama-completion ended with code $code"; }
}
