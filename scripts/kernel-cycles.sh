#!/usr/bin/env bash
# Modelled cycles of the row kernels on an Arm Cortex-A76: compiles them for arm64, takes their hot loops out of the
# assembly and asks llvm-mca. Fails if a kernel misses its bound. Nothing runs on a board: the numbers are modelled.
# Usage: scripts/kernel-cycles.sh      LLVM_MCA and CXX_ARM64 name other tools
#
# Model: LLVM's Neoverse N1, the server sibling of the A76 (same pipes). LLVM 19 has it; up to LLVM 16 the name stood
# for the Cortex-A57 with half the vector width, so tools without the N1's units are refused. llvm-mca assumes that
# loads hit the level 1 cache. The A76 decodes 4 instructions per cycle, which the model leaves out: a loop counts as
# max(llvm-mca's cycles, instructions / 4).
#
# A hot loop is an innermost loop of a kernel function: a branch back to a label of the same function with no such
# branch and no call in between. Elements per iteration are counted in the loop itself, whatever the compiler unrolled:
# every 16-byte register that is loaded (absmax, quantize: all such loads are f32) or stored (hadamard, dequantize: all
# such stores are f32) is four elements; spills to the stack are not counted. Of the loops of a function those with the
# most elements are the hot ones; of several (adjacent and strided cells) the slowest stands in the table.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

compiler=${CXX_ARM64:-$([ "$(uname -m)" = aarch64 ] && echo g++ || echo aarch64-linux-gnu-g++)}
command -v "$compiler" >/dev/null \
    || die "no $compiler; install it with:  sudo apt-get install -y crossbuild-essential-arm64"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

has_model() {
    echo 'fmul v0.4s, v1.4s, v2.4s' | "$1" -mtriple=aarch64 -mcpu=neoverse-n1 2>/dev/null | grep N1Unit >/dev/null
}
find_mca() {
    local name names=(llvm-mca llvm-mca-{30..16})
    [ -z "${LLVM_MCA:-}" ] || names=("$LLVM_MCA")
    for name in "${names[@]}"; do
        command -v "$name" >/dev/null && has_model "$name" && { echo "$name"; return; }
    done
    die "no llvm-mca with the Neoverse N1 model; install it with:  sudo apt-get install -y llvm-19"
}
mca=$(find_mca)

# The options of a release build, see src/kernels/CMakeLists.txt.
options=(-std=c++17 -O3 -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden
    -O2 -fno-tree-vectorize -ffp-contract=off)
compile() {
    local name=$1
    shift
    "$compiler" "${options[@]}" "$@" -I"$repo/src" -S "$repo/src/kernels/$name.cpp" -o "$folder/$name.s" \
        || die "cannot compile src/kernels/$name.cpp for arm64 (is libhwy-dev installed?)"
}
compile hadamard -fno-schedule-insns
compile quantize
compile dequantize

# Writes each innermost loop to folder/loop.<n> and prints: n function instructions loaded stored
awk -v folder="$folder" '
    function registers(line) { return line ~ /^\t(ldp|stp)\t/ ? 2 : 1 }
    function take(first, last,    i, n, loaded, stored, file) {
        file = folder "/loop." ++loops
        for (i = first; i <= last; i++) {
            if (text[i] !~ /^\t[a-z]/) continue
            n++
            print text[i] > file
            if (text[i] ~ /\[sp/) continue
            if (text[i] ~ /^\t(ldp|ldr)\tq/) loaded += registers(text[i])
            if (text[i] ~ /^\t(stp|str)\tq/) stored += registers(text[i])
        }
        close(file)
        print loops, name, n, loaded + 0, stored + 0
    }
    /^_Z[A-Za-z0-9_]*:/ { name = substr($1, 1, length($1) - 1); lines = 0; barrier = 0; delete label }
    { text[++lines] = $0 }
    /^\.L[0-9]+:/ { label[substr($1, 1, length($1) - 1)] = lines }
    /^\tbl/ { barrier = lines }
    /^\t(b\.?[a-z]*|cbn?z|tbn?z)\t/ && ($NF in label) {
        if (label[$NF] > barrier) take(label[$NF], lines)
        barrier = lines
    }
' "$folder/hadamard.s" "$folder/quantize.s" "$folder/dequantize.s" > "$folder/loops"

iterations=1000
# cycles_of function-pattern column: "cycles-per-element elements instructions" of the slowest hot loop
cycles_of() {
    local n instructions loaded stored registers cycles
    awk -v name="$1" -v column="$2" '
        index($2, name) && $column > 0 { if ($column > most) most = $column; line[NR] = $0; count[NR] = $column }
        END { for (i in line) if (count[i] == most) print line[i] }' "$folder/loops" |
    while read -r n _ instructions loaded stored; do
        cycles=$("$mca" -mtriple=aarch64 -mcpu=neoverse-n1 -iterations=$iterations "$folder/loop.$n" 2>/dev/null |
            awk '/^Total Cycles:/ { print $3 }')
        [ -n "$cycles" ] || die "$mca does not take the hot loop of $1"
        registers=$stored
        [ "$2" = 5 ] || registers=$loaded
        awk -v total="$cycles" -v n="$instructions" -v registers="$registers" -v iterations="$iterations" 'BEGIN {
                cycles = total / iterations
                if (n / 4 > cycles) cycles = n / 4
                printf "%.4f %d %d\n", cycles / (4 * registers), 4 * registers, n }'
    done | sort -g | tail -n 1
}

missed=0
print_row() { # name, cycles per element, elements per iteration, instructions per iteration, bound or -
    [ -n "$2" ] || die "no hot loop found for $1: the compiler did something that this script does not know"
    local verdict=-
    if [ "$5" != - ]; then
        verdict=ok
        awk -v a="$2" -v b="$5" 'BEGIN { exit !(a > b) }' && { verdict='NOT OK'; missed=1; }
    fi
    awk -v name="$1" -v c="$2" -v e="$3" -v n="$4" -v b="$5" -v v="$verdict" 'BEGIN {
        printf "%-34s %8s %8s %10.2f %6s  %-7s %8.2f\n", name, e, n, c, b, v, c * 4096 / 2350 }'
}
kernel() { # name, function pattern, column (4 = loaded, 5 = stored), bound
    local found
    read -ra found < <(cycles_of "$2" "$3") || true
    print_row "$1" "${found[0]:-}" "${found[1]:-}" "${found[2]:-}" "$4"
}
hadamard() { # block, bound, passes: a transform is the sum of its passes, each over every element
    local pass found total=0
    for pass in "${@:3}"; do
        read -ra found < <(cycles_of "$pass" 5) || true
        [ -n "${found[0]:-}" ] || die "no hot loop found for $pass of the Hadamard transform"
        total=$(awk -v a="$total" -v b="${found[0]}" 'BEGIN { print a + b }')
    done
    print_row "hadamard, block $1 ($(($# - 2)) passes)" "$total" - - "$2"
}

echo "modelled: $("$mca" --version | awk '/LLVM version/ { print "llvm-mca " $NF }') -mcpu=neoverse-n1," \
    "$("$compiler" --version | head -n 1)"
printf '%-34s %8s %8s %10s %6s  %-7s %8s\n' kernel elem/it instr/it cycles/el bound '' us/4096
first=first_passILi16E; eight=later_passILi8E; sixteen=later_passILi16E; four=later_passILi4E
kernel absmax max_magnitude 4 0.5
hadamard 4096 3 $first $eight $eight
hadamard 2048 - $first $eight $four
hadamard 1024 - $first $sixteen
hadamard 512 - $first $eight
kernel quantize_f32_i8 quantize_i8E 4 1.0
kernel quantize_f32_i4 quantize_i4E 4 1.2
kernel quantize_f32_f16 quantize_f16E 4 -
kernel quantize_f32_i8_digits quantize_i8_digitsE 4 -
kernel quantize_f32_i4_digits quantize_i4_digitsE 4 -
kernel multiply multiply_byE 5 -
kernel dequantize_i32_f32 dequantizeIiLb0E 5 0.8
kernel 'dequantize_i32_f32, accumulating' dequantizeIiLb1E 5 -
kernel dequantize_i16_f32 dequantizeIsLb0E 5 0.7
kernel 'dequantize_i16_f32, accumulating' dequantizeIsLb1E 5 -
kernel dequantize_f32_f32 dequantizeIfLb0E 5 -
kernel 'dequantize_f32_f32, accumulating' dequantizeIfLb1E 5 -
kernel dequantize_i32_digits dequantize_digitsIiLi256ELb0E 5 -
kernel "dequantize_i32_digits, accumulating" dequantize_digitsIiLi256ELb1E 5 -
kernel dequantize_i16_digits dequantize_digitsIsLi16ELb0E 5 -
kernel "dequantize_i16_digits, accumulating" dequantize_digitsIsLi16ELb1E 5 -
[ "$missed" = 0 ] || die "a kernel misses its bound"
