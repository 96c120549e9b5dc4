# The command's exit codes and the words a user reads.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

expect(0 "EMULATED" GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info)
expect(0 "rk3588, 3 cores" GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info)
expect(1 "no NPU: .*rk3576.* not supported" GGML_RKNPU_RUNTIME=${EMULATOR} GGML_RKNPU_CHIP=rk3576 ${RKNPU} info)
expect(1 "no NPU: .*does not exist" GGML_RKNPU_RUNTIME=/nowhere/librknnrt.so ${RKNPU} info)
expect(0 "GGML_RKNPU_FORMAT=w16a16   .from the environment" GGML_RKNPU_FORMAT=w16a16 ${RKNPU} settings)
expect(0 "did you mean GGML_RKNPU_FORMAT" GGML_RKNPU_FORMATT=x GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info)
expect(0 "weights: +up to 3.75 of 4.00 GiB in a domain, for activations need room there too; 60.00 GiB in all domains.*rotation off.*of Q4_0: +attn_q w8a16.*setting: +GGML_RKNPU_FORMAT=w8a16 .environment"
    GGML_RKNPU_RUNTIME=${EMULATOR} GGML_RKNPU_FORMAT=w8a16 GGML_RKNPU_ROTATION=none ${RKNPU} info)
expect(0 "GGML_RKNPU_TIMEOUT_MS=10000 .default, for the environment's value cannot be used"
    GGML_RKNPU_RUNTIME=${EMULATOR} GGML_RKNPU_TIMEOUT_MS=x ${RKNPU} info)
expect(2 "excludes" ${RKNPU} settings --json --markdown)

# json(code value AT place... CALL [NAME=value...] program arguments...): the value at that place of what it prints.
function(json code value)
    cmake_parse_arguments(given "" "" "AT;CALL" ${ARGN})
    execute_process(COMMAND ${CMAKE_COMMAND} -E env RKNN_EMU_NPU=${NPU} GGML_RKNPU_LOCK=${NPU}.lock ${given_CALL}
        OUTPUT_VARIABLE out ERROR_QUIET RESULT_VARIABLE result)
    string(JSON got ERROR_VARIABLE failed GET "${out}" ${given_AT})
    if(failed OR NOT got STREQUAL value OR NOT result EQUAL code)
        message(FATAL_ERROR "${given_CALL}: exit code ${result}, '${got}' instead of '${value}' at ${given_AT}: ${failed}")
    endif()
endfunction()
json(0 rk3588 AT npu chip CALL GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info --json)
json(0 w8a8 AT npu formats F16 ffn_up CALL GGML_RKNPU_RUNTIME=${EMULATOR} GGML_RKNPU_FORMAT=w8a8 ${RKNPU} info --json)
json(0 environment AT settings 0 source CALL GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info --json)
json(1 0.1.0 AT rknpu CALL GGML_RKNPU_RUNTIME=/nowhere/x.so ${RKNPU} info --json)
json(0 w16a16 AT 1 value CALL GGML_RKNPU_FORMAT=w16a16 ${RKNPU} settings --json)
expect(2 "subcommand is required: one of info" ${RKNPU})
expect(2 "no subcommand .nonsense." ${RKNPU} nonsense)
