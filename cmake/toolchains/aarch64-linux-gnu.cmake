# Debian's cross compiler for the boards' CPUs; libraries come from Debian's arm64 packages (multiarch), and what is built
# runs here through qemu-user as on a Cortex-A76. The baseline is armv8-a as on a board: kernels choose at run time.
# scripts/llama-cpp.sh --arch aarch64 passes the same to llama.cpp.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
# ctest starts programs of this project with it; tests that start programs themselves get it as RKNPU_TEST_LAUNCHER.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -cpu cortex-a76)
