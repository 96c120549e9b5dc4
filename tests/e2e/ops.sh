#!/usr/bin/env bash
# ops.sh [all]: ggml's own operator tests on our device against the CPU backend. The default choice holds every matrix
# multiplication that takes little time and the operators of the bundled models; `all` is everything (make test-ops).
source "$(dirname "$0")/common.sh"

operators() { # test-backend-ops arguments
    local log=$scratch/ops.log passed
    on_npu "$LLAMA_BIN/test-backend-ops" test -b RKNPU0 "$@" >"$log" 2>&1 </dev/null \
        || { grep -aE 'FAIL|rknpu: ' "$log" | head -n 20; tail -n 3 "$log"; fail "test-backend-ops $*"; }
    passed=$(grep -acE ': .{0,8}OK' "$log" || true)
    expect "operator cases that passed ($*)" "$passed" '>' 10
}
if [ "${1:-}" = all ]; then
    operators
else
    operators -o MUL_MAT
    operators -o MUL_MAT_ID -p 'n=(1|17),k=256'
    operators -o ADD,MUL,SCALE,SET_ROWS,CPY,ROPE,RMS_NORM,SOFT_MAX,GEGLU,SWIGLU,GELU,ARGSORT,SUM_ROWS,CLAMP
fi
