#!/usr/bin/env bash
# Writes the table of predictions beside published speeds into README.md, with the day. ctest -R rknpu-predict compares.
#
#   scripts/demo-table.sh [build folder, default: build]
#
# Invariant: nothing but the lines between the two marks changes, and README.md is either the old one or the new one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

program=${1:-$repo/build}/tools/rknpu/rknpu
[ -x "$program" ] || die "there is no $program: make build"
table=$(mktemp) page=$repo/README.md.partial
trap 'rm -f "$table" "$page"' EXIT
{
    printf 'Written %s by scripts/demo-table.sh, in tokens/s.\n\n' "$(date -u +%F)"
    "$program" predict --demo-table
} >"$table"
for mark in 'demo table' 'end of the demo table'; do
    grep -q "^<!-- $mark -->\$" "$repo/README.md" || die "README.md has lost a mark of the table: put back <!-- $mark -->"
done
awk -v table="$table" '
    /^<!-- demo table -->$/ { print; while ((getline line < table) > 0) print line; skipping = 1; next }
    /^<!-- end of the demo table -->$/ { skipping = 0 }
    !skipping { print }' "$repo/README.md" >"$page"
mv "$page" "$repo/README.md"
say "README.md has the new table"
