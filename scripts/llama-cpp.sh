#!/usr/bin/env bash
# Obtains and builds the pinned llama.cpp once, outside the checkout, and prints the folder of its binaries.
#
#   scripts/llama-cpp.sh            -> build if needed; last line: the folder with llama-cli, libggml-base.so, ...
#   scripts/llama-cpp.sh --source   -> only obtain the source; last line: the source folder
#   scripts/llama-cpp.sh --arch aarch64   -> build for arm64 what the tests of that build need (Debian's cross compiler)
#   scripts/llama-cpp.sh --find [--arch aarch64]  -> two lines, source and binaries, of what is built already; fails, and
#                                                 neither fetches nor builds, where nothing is (cmake/llama-cpp.cmake asks)
#
# Invariant: a folder whose name carries (version, flags, architecture) is either absent, in the making, or complete
# (marker file .complete); nothing in it depends on the checkout that asked for it.
#
# Environment: LLAMA_CPP_SOURCE_DIR   use this llama.cpp checkout instead of the pinned one
#              GGML_RKNPU_CACHE       where builds are kept (default: ggml-rknpu in XDG_CACHE_HOME or else in ~/.cache);
#                                     CCACHE_DIR is ccache's own
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The npm package node-llama-cpp carries a git bundle of the full llama.cpp source: reachable wherever npm is.
readonly LLAMA_VERSION=v0.5.0
readonly NPM_PACKAGE=node-llama-cpp@3.22.1
readonly NPM_SHA512=6e5b488a9b9699cd76dc7eed30880318a4ac4ab866865418795502e3c5d38d55bb5c624988927209d95333343f2e25a83e4183a5c2f816f883a60c3ba9f4e20f
# The plugin ABI of ggml: 1 is too old for this plugin; later ones than the last known are tried, with a warning.
readonly API_OLDEST=2 API_KNOWN=6
readonly UPSTREAM=https://github.com/ggml-org/llama.cpp
readonly TARGETS="llama-cli llama-completion llama-server llama-bench llama-perplexity llama-quantize llama-imatrix
    llama-batched-bench llama-tokenize ggml-rpc-server test-backend-ops ggml-cpu ggml-rpc"
# GGML_BACKEND_DL: the loader then reads GGML_BACKEND_PATH at start; it excludes GGML_NATIVE, so the CPU backend is
# built for x86-64-v3 (AVX2, FMA, F16C, ggml's default then) or armv8.2-a with dot product and fp16.
find=0
[ "${1:-}" != --find ] || { find=1; shift; }
[ $# -eq 0 ] || [ "$*" = "--arch aarch64" ] || { [ "$*" = --source ] && [ "$find" = 0 ]; } \
    || { echo "llama.cpp: usage: scripts/llama-cpp.sh [--source | [--find] [--arch aarch64]]" >&2; exit 2; }
arch=$(uname -m)
targets=$TARGETS
flags=(-DCMAKE_BUILD_TYPE=Release -DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_RPC=ON -DBUILD_SHARED_LIBS=ON
    -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_BUILD_TESTS=ON)
# A cross build has few targets: it serves the tests of build-aarch64/ only. See cmake/toolchains/aarch64-linux-gnu.cmake.
if [ "$*" = "--arch aarch64" ] && [ "$arch" != aarch64 ]; then
    arch=aarch64
    targets="llama-completion ggml-cpu"
    flags+=(-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc
        -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_LIBRARY_ARCHITECTURE=aarch64-linux-gnu)
fi
[ "$arch" = aarch64 ] && flags+=(-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16)

say() { echo "llama.cpp: $*" >&2; }
die() { say "$*"; exit 1; }

case ${XDG_CACHE_HOME:-} in /*) ;; *) XDG_CACHE_HOME='' ;; esac # to be ignored, says its specification
cache=${GGML_RKNPU_CACHE:-${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}}
[ -n "$cache" ] || die "neither HOME nor GGML_RKNPU_CACHE is set; set GGML_RKNPU_CACHE=<folder for the build>"
[ -n "${GGML_RKNPU_CACHE:-}" ] || cache=$cache/ggml-rknpu

# The package from the registry or from npm's own cache. An offline machine shall not wait for npm's default retries.
npm_package() {
    command -v npm >/dev/null || { echo "npm is not installed"; return 1; }
    (cd "$1" && npm pack --silent --prefer-offline --fetch-retries=1 --fetch-retry-mintimeout=1000 "$NPM_PACKAGE" \
        >/dev/null 2>npm.log </dev/null) || { tail -n 1 "$1/npm.log"; return 1; }
}

# Clones the pinned source into $1, from the npm package or, where npm is not reachable, from the upstream tag.
obtain_source() {
    local dest=$1 why
    work=$(mktemp -d "$cache/fetch.XXXXXX") || die "cannot write to $cache; set GGML_RKNPU_CACHE=<folder>"
    trap 'rm -rf "$work"' EXIT
    say "obtaining llama.cpp $LLAMA_VERSION (npm package $NPM_PACKAGE)"
    if why=$(npm_package "$work"); then
        echo "$NPM_SHA512  $work/node-llama-cpp-3.22.1.tgz" | sha512sum --check --status \
            || die "the digest of $NPM_PACKAGE is not the pinned one: refusing to build it (remove a proxy's stale copy, or set LLAMA_CPP_SOURCE_DIR=)"
        tar -xzf "$work/node-llama-cpp-3.22.1.tgz" -C "$work" package/llama/gitRelease.bundle \
            && git -c advice.detachedHead=false clone --quiet "$work/package/llama/gitRelease.bundle" "$work/source" \
            || die "cannot unpack the source below $cache; is there 500 MB of free space?"
    else
        say "npm did not deliver it ($why); trying the upstream tag by git"
        GIT_TERMINAL_PROMPT=0 git -c advice.detachedHead=false clone --quiet --depth 1 --branch "$LLAMA_VERSION" \
            "$UPSTREAM" "$work/source" </dev/null \
            || die "neither npm nor git could deliver the source; check the network, or set LLAMA_CPP_SOURCE_DIR=<your llama.cpp checkout>"
    fi
    rm -rf "$dest"
    mv "$work/source" "$dest"
}

# Refuses a source whose plugin ABI we cannot speak, before six minutes are spent on building it.
check_abi() {
    local api
    api=$(sed -n 's/^ *# *define  *GGML_BACKEND_API_VERSION  *\([0-9][0-9]*\).*/\1/p' "$1/ggml/src/ggml-backend-impl.h")
    [ -n "$api" ] || die "$1: no GGML_BACKEND_API_VERSION in ggml/src/ggml-backend-impl.h; use llama.cpp $LLAMA_VERSION"
    [ "$api" -ge "$API_OLDEST" ] \
        || die "$1: its plugin interface is version $api, at least $API_OLDEST is needed; use llama.cpp $LLAMA_VERSION or later"
    [ "$api" -le "$API_KNOWN" ] || say "$1: plugin interface version $api is newer than any tried ($API_KNOWN)"
}

build() {
    local source=$1 dest=$2 launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    [ -f "$dest/.complete" ] || say "building into $dest (once; four to six minutes on two cores)"
    rm -f "$dest/.complete"
    cmake -S "$source" -B "$dest" -G Ninja "${flags[@]}" "${launcher[@]}" >"$dest.log" 2>&1 </dev/null \
        || { tail -n 20 "$dest.log" >&2; die "cmake failed; whole log: $dest.log"; }
    # shellcheck disable=SC2086
    cmake --build "$dest" --target $targets 2>&1 </dev/null | tee -a "$dest.log" | show_progress building \
        || { tail -n 20 "$dest.log" >&2; die "the build failed; whole log: $dest.log"; }
    touch "$dest/.complete"
}

if [ "$find" = 0 ]; then
    mkdir -p "$cache" || die "cannot write to $cache; set GGML_RKNPU_CACHE=<folder>"
    exec 9>"$cache/lock" || die "cannot write to $cache; set GGML_RKNPU_CACHE=<folder>"
    # Two checkouts asking at once: the second waits and finds the finished build.
    flock --nonblock 9 || { say "another build is under way in $cache; waiting for it"; flock 9; }
fi

if [ -n "${LLAMA_CPP_SOURCE_DIR:-}" ]; then
    source=$(realpath -e "$LLAMA_CPP_SOURCE_DIR" 2>/dev/null) && [ -f "$source/ggml/src/ggml-backend-impl.h" ] \
        || die "LLAMA_CPP_SOURCE_DIR=$LLAMA_CPP_SOURCE_DIR is not a llama.cpp checkout (no ggml/src/ggml-backend-impl.h)"
    name=own-$(printf '%s' "$source" | sha256sum | cut -c1-12)
else
    source=$cache/llama.cpp-$LLAMA_VERSION
    name=$LLAMA_VERSION
    [ "$find" = 1 ] || [ -f "$source/ggml/src/ggml-backend-impl.h" ] || obtain_source "$source"
fi
[ "$find" = 1 ] || check_abi "$source"
[ "${1:-}" = --source ] && { echo "$source"; exit 0; }

dest=$cache/build-$name-$arch-$(printf '%s ' "${flags[@]}" "$targets" | sha256sum | cut -c1-12)
if [ "$find" = 1 ]; then
    if [ ! -f "$source/ggml/src/ggml-backend-impl.h" ] || [ ! -f "$dest/.complete" ]; then
        die "not built yet; run  scripts/llama-cpp.sh${*:+ $*}"
    fi
    printf '%s\n' "$source" "$dest/bin"
    exit
fi
# A checkout of the user's may change between calls: ninja decides what is stale. The pinned one never does.
if [ ! -f "$dest/.complete" ] || [ -n "${LLAMA_CPP_SOURCE_DIR:-}" ]; then build "$source" "$dest"; fi
echo "$dest/bin"
