#!/usr/bin/env bash
# Installs what the build needs and this machine lacks, with apt as root; otherwise prints the command and stops.
#
#   scripts/setup.sh            what make run, make build and the tests of this machine's architecture need
#   scripts/setup.sh aarch64    also the cross compiler, qemu-user, llvm-mca and Debian's arm64 libraries, for the arm64 tests
#   scripts/setup.sh test       also valgrind, for the test of the host's cost
#   scripts/setup.sh bench      also Google Benchmark, valgrind, llvm-mca and the cross compiler (make bench)
#
# Invariant: quick and silent when nothing is missing; nothing is installed that was not announced.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

missing=()
foreign=0 # whether apt has to know the architecture arm64
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
need_file() { # a file below an include or share folder, and its package
    local folder
    for folder in /usr/include /usr/local/include /etc; do [ -e "$folder/$1" ] && return; done
    missing+=("$2")
}

need_arm64() { # a file of an arm64 library, and its package
    [ -e "/usr/lib/aarch64-linux-gnu/$1" ] || { missing+=("$2:arm64"); foreign=1; }
}

need_command cmake cmake
need_command ninja ninja-build
need_command g++ g++
need_command git git
need_command ccache ccache
need_command curl curl
need_command flock util-linux
need_file gtest/gtest.h libgtest-dev
need_file hwy/highway.h libhwy-dev
need_file xxhash.h libxxhash-dev
need_file nlohmann/json.hpp nlohmann-json3-dev
need_file CLI/CLI.hpp libcli11-dev
need_file ssl/certs/ca-certificates.crt ca-certificates
if [ "${1:-}" = aarch64 ] && [ "$(uname -m)" != aarch64 ]; then
    need_command aarch64-linux-gnu-g++ crossbuild-essential-arm64
    need_command qemu-aarch64-static qemu-user-static
    need_command llvm-mca-19 llvm-19
    need_arm64 libhwy.so libhwy-dev
    need_arm64 libgtest.a libgtest-dev
    need_arm64 libstdc++.so.6 libstdc++6
    need_arm64 libgomp.so.1 libgomp1
fi
case ${1:-} in test | bench) need_command valgrind valgrind ;; esac
if [ "${1:-}" = bench ]; then
    need_file benchmark/benchmark.h libbenchmark-dev
    need_command llvm-mca-19 llvm-19
    [ "$(uname -m)" = aarch64 ] || need_command aarch64-linux-gnu-g++ crossbuild-essential-arm64
fi

# The cure of a machine that knows no arm64 packages.
only_for="needed by the arm64 tests only; all others:  scripts/test.sh release asan tsan"
add_arm64=()
if [ "$foreign" -eq 1 ]; then
    command -v dpkg >/dev/null && command -v apt-get >/dev/null \
        || die "no Debian arm64 packages on this system: ${missing[*]} ($only_for)"
    dpkg --print-foreign-architectures | grep -qx arm64 || add_arm64=(dpkg --add-architecture arm64)
fi

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null \
        || die "missing (Debian's names): ${missing[*]}; install them with this system's package manager, then repeat"
    if [ "$(id -u)" -ne 0 ]; then
        cure="sudo apt-get install -y ${missing[*]}"
        [ ${#add_arm64[@]} -eq 0 ] || cure="sudo ${add_arm64[*]} && sudo apt-get update && $cure"
        [ "$foreign" -eq 0 ] || cure="$cure  ($only_for)"
        die "missing packages; install them with:  $cure"
    fi
    say "installing with apt: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # The package lists of a fresh machine are empty or old; only then are they worth the time of an update.
    apt_log=$(mktemp)
    trap 'rm -f "$apt_log"' EXIT
    install_missing() { apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >"$apt_log" 2>&1; }

    if [ ${#add_arm64[@]} -gt 0 ]; then
        say "adding the architecture arm64 to dpkg"
        "${add_arm64[@]}"
    fi
    install_missing || { apt-get update -qq </dev/null >/dev/null 2>&1 || true; install_missing; } \
        || {
            tail -n 5 "$apt_log" >&2
            # An architecture that the package sources do not have would trouble every later update.
            [ ${#add_arm64[@]} -eq 0 ] || dpkg --remove-architecture arm64 || true
            [ "$foreign" -eq 0 ] || die "the package sources have no arm64 packages for: ${missing[*]} ($only_for)"
            die "apt could not install: ${missing[*]}"
        }
fi

version=$(cmake --version | sed -n '1s/[^0-9]*//p')
[ "$(printf '%s\n' 3.22 "$version" | sort -V | head -n 1)" = 3.22 ] \
    || die "cmake $version is too old, 3.22 is needed (Debian 12 and Ubuntu 22.04 have newer ones)"
