#!/usr/bin/env bash
# Installs what the build needs and this machine lacks, with apt as root; otherwise prints the command and stops.
# Invariant: quick and silent when nothing is missing; nothing is installed that was not announced.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
need_file() { # a file below an include or share folder, and its package
    local folder
    for folder in /usr/include /usr/local/include /etc; do [ -e "$folder/$1" ] && return; done
    missing+=("$2")
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
need_file nlohmann/json.hpp nlohmann-json3-dev
need_file CLI/CLI.hpp libcli11-dev
need_file ssl/certs/ca-certificates.crt ca-certificates

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null \
        || die "missing (Debian's names): ${missing[*]}; install them with this system's package manager, then repeat"
    [ "$(id -u)" -eq 0 ] || die "missing packages; install them with:  sudo apt-get install -y ${missing[*]}"
    say "installing with apt: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # The package lists of a fresh machine are empty or old; only then are they worth the time of an update.
    apt_log=$(mktemp)
    trap 'rm -f "$apt_log"' EXIT
    install_missing() { apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >"$apt_log" 2>&1; }

    install_missing || { apt-get update -qq </dev/null >/dev/null 2>&1 || true; install_missing; } \
        || { tail -n 5 "$apt_log" >&2; die "apt could not install: ${missing[*]}"; }
fi

version=$(cmake --version | sed -n '1s/[^0-9]*//p')
[ "$(printf '%s\n' 3.22 "$version" | sort -V | head -n 1)" = 3.22 ] \
    || die "cmake $version is too old, 3.22 is needed (Debian 12 and Ubuntu 22.04 have newer ones)"
