#!/usr/bin/env bash
# The NPU fails (seeded faults of the emulator): the text stays the CPU's, the exit code 0, and the log says what happened.
source "$(dirname "$0")/common.sh"
export GGML_RKNPU_FORMAT=w16a16 RKNN_EMU_STATS=$scratch/npu.json

write_text on_cpu cpu -m "$dense"

# survives label regex: the text is right in spite of the failure, which is reported
survives() {
    write_text on_npu "$1" -m "$dense"
    expect "$1: exit code" "$code" == 0
    expect_text "$1" cpu
    expect_line "$1" "$2"
}

RKNN_EMU_MEMORY_MIB=12 survives small-memory 'memory|allocate'
expect "small memory: jobs of the tensors that found room" "$(counter npu runs)" '>' 0
RKNN_EMU_FAULTS='alloc@1+' survives no-memory 'memory|allocate'
RKNN_EMU_FAULTS='alloc=0.3,seed=7' survives some-memory 'memory|allocate'

# The first nine jobs are the self-test's, which has a test of its own below.
RKNN_EMU_FAULTS='run-error@55' survives one-error 'CPU'
expect "faults that fired" "$(counter npu faults_fired)" == 1
expect "jobs after one error" "$(counter npu runs)" '>' 1000
RKNN_EMU_FAULTS='run-error@55+' survives always-error 'retire'
expect "failed jobs until the device was left alone" "$(counter npu faults_fired)" '<' 100

GGML_RKNPU_TIMEOUT_MS=500 RKNN_EMU_FAULTS='hang@59' survives hang 'retire'

# Wrong data cannot be seen without check mode; with it each difference is reported and the CPU's result is used. (All
# jobs, for one wrong element may fall into a padded row that nobody reads.)
GGML_RKNPU_CHECK=1 RKNN_EMU_FAULTS='wrong@55+' survives wrong 'check|differ'
expect "faults that fired" "$(counter npu faults_fired)" '>' 10
# In integers a flipped bit is 2^30. In floats it makes a large accumulator small, which text can survive: 5 of 40
# runs, measured here, emulated.
GGML_RKNPU_FORMAT=w8a8 write_text on_npu right-w8a8 -m "$dense"
GGML_RKNPU_FORMAT=w8a8 GGML_RKNPU_CHECK=1 RKNN_EMU_FAULTS='wrong@55+' write_text on_npu wrong-w8a8 -m "$dense"
expect_text wrong-w8a8 right-w8a8
GGML_RKNPU_FORMAT=w8a8 RKNN_EMU_FAULTS='wrong@55+' write_text on_npu unchecked -m "$dense"
expect "unchecked: exit code" "$code" == 0
! cmp -s "$scratch/unchecked.txt" "$scratch/right-w8a8.txt" \
    || fail "the wrong data of the emulator changed no text: 'wrong' proves nothing"
pass "without CHECK wrong data does change the text: the test above means something"

# Products that are wrong from the start are found by the self-test: the NPU is not used at all.
RKNN_EMU_FAULTS='wrong@2' survives self-test 'self-test.*wrong'
expect "jobs after a failed self-test" "$(counter npu runs)" '<' 10
RKNN_EMU_FAULTS='wrong@7' survives int4-self-test 'int4 is not used.*wrong'
expect "jobs without int4" "$(counter npu runs)" '>' 1000
GGML_RKNPU_TIMEOUT_MS=500 RKNN_EMU_FAULTS='hang@3' survives hung-self-test 'self-test.*did not finish'
