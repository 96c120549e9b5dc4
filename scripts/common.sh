# Sourced by the other scripts: where things are, and how a script speaks.
# shellcheck shell=bash

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { echo "ggml-rknpu: $*" >&2; }
die() { say "$*"; exit 1; }

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
