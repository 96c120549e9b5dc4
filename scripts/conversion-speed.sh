#!/usr/bin/env bash
# Prints how fast weights are converted at load time, in MB/s of F16 source per core (part of `make bench`).
# Usage: scripts/conversion-speed.sh [build folder with bench/bench-conversion]
# Invariant: fails if a format without calibration is slower than 60 MB/s per second of CPU time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly least=60
build=${1:-$repo/build-bench}
[ -x "$build/bench/bench-conversion" ] || die "no bench/bench-conversion in $build; run scripts/build.sh bench"
results=$(mktemp)
trap 'rm -f "$results"' EXIT
"$build/bench/bench-conversion" --benchmark_min_time=0.3 --benchmark_format=csv 2>/dev/null >"$results" \
    || die "bench-conversion failed"
echo "Conversion of F16 weights, MB/s of source per core: measured here, CPU time; at least $least."
awk -F "[,/]" -v least="$least" '
    /^"conversion/ {
        if (!(($2, 512) in speed)) names[++n] = $2
        speed[$2, $3] = $NF
        if ($NF + 0 < least) slow = slow " " $2 "/" $3
    }
    END {
        printf "%-8s %8s %8s %8s\n", "format", "K=512", "K=2560", "K=4096"
        for (i = 1; i <= n; i++)
            printf "%-8s %8.0f %8.0f %8.0f\n", names[i], speed[names[i], 512], speed[names[i], 2560], speed[names[i], 4096]
        if (!n || slow != "") { print "below the bound:" (n ? slow : " no results") > "/dev/stderr"; exit 1 }
    }' "$results"
