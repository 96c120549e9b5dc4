# Which llama.cpp the plugin is built for: LLAMA_CPP_SOURCE and LLAMA_CPP_BIN as given, else what scripts/llama-cpp.sh has
# built already.
#
# Invariant: afterwards both name what exists, or the configuration has stopped with the commands that cure it, or
# RKNPU_BUILD_PLUGIN is off and both are empty: whatever needs ggml is then left out.
option(RKNPU_BUILD_PLUGIN "build the plugin and the tools that need ggml; off: only what needs no llama.cpp" ON)
set(LLAMA_CPP_SOURCE "" CACHE PATH "llama.cpp source tree that LLAMA_CPP_BIN was built from (scripts/llama-cpp.sh --source)")
set(LLAMA_CPP_BIN "" CACHE PATH
    "folder with llama.cpp's programs and libggml-base.so (scripts/llama-cpp.sh prints it; default: build/bin of the source)")

if(NOT RKNPU_BUILD_PLUGIN)
    set(LLAMA_CPP_SOURCE "")
    set(LLAMA_CPP_BIN "")
    message(STATUS "RKNPU_BUILD_PLUGIN is off: no plugin")
    return()
endif()

if(NOT LLAMA_CPP_SOURCE AND NOT LLAMA_CPP_BIN)
    set(llama_cpp_command ${PROJECT_SOURCE_DIR}/scripts/llama-cpp.sh)
    set(llama_cpp_arch "")
    if(CMAKE_CROSSCOMPILING)
        set(llama_cpp_arch --arch aarch64)
    endif()
    execute_process(COMMAND ${llama_cpp_command} --find ${llama_cpp_arch}
        RESULT_VARIABLE llama_cpp_missing OUTPUT_VARIABLE llama_cpp_found ERROR_VARIABLE llama_cpp_reason)
    if(NOT llama_cpp_missing EQUAL 0)
        string(STRIP "${llama_cpp_reason}" llama_cpp_reason)
        list(JOIN llama_cpp_arch " " llama_cpp_arch)
        message(FATAL_ERROR "No llama.cpp to build the plugin for (${llama_cpp_reason}). One of:\n"
            "  scripts/llama-cpp.sh ${llama_cpp_arch}     fetches and builds the pinned one, once; then configure again\n"
            "  -DLLAMA_CPP_SOURCE=<your checkout> -DLLAMA_CPP_BIN=<its build>/bin\n"
            "  -DRKNPU_BUILD_PLUGIN=OFF     without the plugin")
    endif()
    string(REGEX MATCH "^([^\n]+)\n([^\n]+)" llama_cpp_found "${llama_cpp_found}")
    set(LLAMA_CPP_SOURCE "${CMAKE_MATCH_1}")
    set(LLAMA_CPP_BIN "${CMAKE_MATCH_2}")
endif()
if(NOT LLAMA_CPP_BIN)
    set(LLAMA_CPP_BIN "${LLAMA_CPP_SOURCE}/build/bin")
endif()
if(NOT EXISTS "${LLAMA_CPP_SOURCE}/ggml/src/ggml-backend-impl.h")
    message(FATAL_ERROR "LLAMA_CPP_SOURCE='${LLAMA_CPP_SOURCE}' is not a llama.cpp checkout (no ggml/src/ggml-backend-impl.h); "
        "give -DLLAMA_CPP_SOURCE=<the checkout that LLAMA_CPP_BIN was built from>")
endif()
if(NOT EXISTS "${LLAMA_CPP_BIN}/libggml-base.so")
    message(FATAL_ERROR "LLAMA_CPP_BIN='${LLAMA_CPP_BIN}' has no libggml-base.so; build that llama.cpp with "
        "-DGGML_BACKEND_DL=ON -DBUILD_SHARED_LIBS=ON, and give -DLLAMA_CPP_BIN=<its build>/bin")
endif()
message(STATUS "llama.cpp: ${LLAMA_CPP_SOURCE}, built in ${LLAMA_CPP_BIN}")
