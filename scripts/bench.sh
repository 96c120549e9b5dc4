#!/usr/bin/env bash
# Prints what the CPU side costs: one line per row kernel (time here, instructions counted here, cycles modelled for an
# A76), the speed of converting weights, then instructions per token of the bundled models.
# Usage: scripts/bench.sh      the build goes to build-bench/
# Invariant: fails if a kernel misses its modelled bound (scripts/kernel-cycles.sh), a format its bound
# (scripts/conversion-speed.sh), or a measurement cannot be had.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build=$repo/build-bench
"$repo/scripts/setup.sh" bench
"$repo/scripts/build.sh" bench

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$build/bench/bench-kernels" --benchmark_filter=row/ --benchmark_format=csv >"$folder/times" 2>"$folder/log" \
    || { tail -n 5 "$folder/log" >&2; die "bench-kernels failed"; }
"$repo/scripts/kernel-instructions.sh" "$build" >"$folder/instructions"
status=0
"$repo/scripts/kernel-cycles.sh" >"$folder/cycles" || status=$?

echo "Row kernels per element, one thread, rows of 4096. ns and GB/s: measured here, $(
    awk -F , '/^"row\// { gsub(/"/, "", $8); print $8; exit }' "$folder/times")."
echo 'Instructions: callgrind here, AVX2 on x86. A76 cycles:' "$(head -n 1 "$folder/cycles")"
awk -v rows=4096 '
    FILENAME ~ /instructions$/ { instructions[$1] = $2; next }
    FILENAME ~ /cycles$/ {
        if (match($0, /hadamard, block [0-9]+/)) {
            name = "hadamard/" substr($0, 17, RLENGTH - 16)
            sub(/.*passes\)/, "")
            cycles[name] = $3; bound[name] = $4
        } else if ($2 == "accumulating") {
            sub(/,/, "", $1)
            cycles[$1 "/add"] = $5
        } else {
            cycles[$1] = $4; bound[$1] = $5
        }
        next
    }
    BEGIN { printf "%-28s %8s %8s %12s %10s %6s\n", "kernel", "ns", "GB/s", "instructions", "A76 cycles", "bound" }
    /^"row\// {
        split($0, field, ",")
        name = substr(field[1], 6, length(field[1]) - 6)
        model = name
        sub(/\/M=.*/, "", model)
        printf "%-28s %8.3f %8.1f %12s %10s %6s\n", name, field[4] / rows, field[6] / 1e9, instructions[name],
            model in cycles ? cycles[model] : "-", bound[model] == "" ? "-" : bound[model]
    }' "$folder/instructions" "$folder/cycles" "$folder/times"

"$repo/scripts/conversion-speed.sh" "$build" || status=$?
"$repo/scripts/host-cost.sh" "$build"
exit "$status"
