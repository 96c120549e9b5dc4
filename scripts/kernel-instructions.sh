#!/usr/bin/env bash
# Prints instructions per element of every row kernel, counted by callgrind (package valgrind) on this machine.
# Usage: scripts/kernel-instructions.sh [build folder with bench/count-kernels, default: build]
# Invariant: the count does not depend on how busy the machine is. Valgrind knows no AVX-512: the set in use is printed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

program=${1:-$repo/build}/bench/count-kernels
[ -x "$program" ] || die "no $program: install valgrind, configure with -DRKNPU_BUILD_BENCH=ON and build"
command -v valgrind >/dev/null || die "valgrind is missing; install it with:  sudo apt-get install -y valgrind"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
valgrind --quiet --tool=callgrind --callgrind-out-file="$folder/out" "$program"
printf '%-28s %s\n' kernel 'instructions/element'
# One dump per case, numbered in order; its trigger line carries the name.
for ((i = 1; ; i++)); do
    dump=$folder/out.$i
    [ -f "$dump" ] || break
    awk '/^desc: Trigger: Client Request: / { name = $NF } /^(summary|totals): / { count = $2 }
         END { if (name) printf "%-28s %.3f\n", name, count / 4096 }' "$dump"
done
