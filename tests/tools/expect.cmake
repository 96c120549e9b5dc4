# expect(exit-code pattern [NAME=value...] program arguments...): the code, and the pattern in what it prints.
function(expect code pattern)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env RKNN_EMU_NPU=${NPU} GGML_RKNPU_LOCK=${NPU}.lock ${ARGN}
        OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE result)
    if(NOT result EQUAL ${code})
        message(FATAL_ERROR "${ARGN}: exit code ${result}, not ${code}\n${out}${err}")
    endif()
    if(NOT "${out}${err}" MATCHES "${pattern}")
        message(FATAL_ERROR "${ARGN}: no '${pattern}' in\n${out}${err}")
    endif()
endfunction()
