#!/usr/bin/env bash
# The repository's unit test: rules of the house that a machine can check. Prints each place that breaks one.
set -uo pipefail
shopt -s lastpipe # rule runs in this shell and remembers
cd "$(dirname "$0")/../.."
broken=0

# rule "what is wrong" lines...: fails if there are any lines.
rule() {
    local what=$1 lines
    lines=$(cat)
    [ -z "$lines" ] && return
    printf '%s:\n%s\n\n' "$what" "$lines"
    broken=1
}
[ "$(git ls-files | wc -l)" -gt 100 ] || { echo "git does not list the repository's files here (safe.directory?)"; exit 1; }
sources() { git ls-files -- "$@" | grep -E '\.(cpp|h)$'; }

sources src emulator tools tests bench | xargs awk 'length > 120 {print FILENAME ":" FNR}' | rule "lines longer than 120 columns"
sources src emulator tools tests bench | xargs grep -nP '[^\x00-\x7F]' | rule "characters beyond ASCII"
sources src emulator tools tests bench | xargs wc -l | awk '$2 != "total" && $1 > 500' | rule "files longer than 500 lines"
sources src emulator tools | xargs grep -nE '\b(TODO|FIXME|XXX)\b|[^_]assert\(' | grep -v static_assert | rule "leftovers and asserts"
sources src | grep -v '^src/base/log.cpp' | xargs grep -nE 'std::c(out|err)|\b(printf|fputs|puts)\(' \
    | grep -v 'src/backend/summary.cpp.*stderr' | rule "prints in the library"
sources src | xargs grep -nE '\bgetenv\(|\benviron\b' | grep -v '^src/base/settings' | rule "environment read outside src/base/settings.cpp"
sources src | grep -v '^src/backend/' | xargs grep -nE '#include "ggml|\bggml_[a-z]' | rule "ggml known outside src/backend"
sources src | grep -v '^src/device/rknn/' | xargs grep -nE '\brknn_(matmul|create|mem|destroy|query)' | rule "the vendor's entry points outside src/device/rknn"
sources src/plan | xargs grep -nE '#include "(device|matmul|memory|backend)/' | rule "a planner that is not pure"
sources src emulator tools | while read -r file; do head -c 3 "$file" | grep -qE '^(//|/\*)' || echo "$file"; done \
    | rule "files that do not open with their purpose"
git ls-files | xargs grep -nIE '/(ro[o]t|home)/[a-z]|bash_[j]obs' -- 2>/dev/null | grep -v '^models/' | rule "paths of a machine"
git ls-files src emulator | grep '\.cpp$' | while read -r file; do
    folder=$(dirname "$file")
    while [ ! -f "$folder/CMakeLists.txt" ]; do folder=$(dirname "$folder"); done
    grep -q "${file#"$folder"/}" "$folder/CMakeLists.txt" || echo "$file"
done | rule "sources that no CMakeLists.txt names"
[ "$broken" -eq 0 ] && echo "tidy"
exit "$broken"
