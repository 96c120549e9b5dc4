# The command's exit codes and the words a user reads.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

expect(0 "EMULATED" GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info)
expect(0 "rk3588, 3 cores" GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info)
expect(1 "no NPU: .*rk3576.* not supported" GGML_RKNPU_RUNTIME=${EMULATOR} GGML_RKNPU_CHIP=rk3576 ${RKNPU} info)
expect(1 "no NPU: .*does not exist" GGML_RKNPU_RUNTIME=/nowhere/librknnrt.so ${RKNPU} info)
expect(0 "GGML_RKNPU_FORMAT=w16a16   .from the environment" GGML_RKNPU_FORMAT=w16a16 ${RKNPU} settings)
expect(0 "did you mean GGML_RKNPU_FORMAT" GGML_RKNPU_FORMATT=x GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} info)
expect(2 "subcommand is required" ${RKNPU})
expect(2 "" ${RKNPU} nonsense)
