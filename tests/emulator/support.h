// Test side of the stand-in runtime: a loader over abi.h, one matmul from creation to comparison, and child processes
// for what one process can see only once (settings, faults, exit, panics).
//
// Invariant: nothing here calls the product's layout or arithmetic code; references are plain loops over index
// formulas.
#pragma once

#include "device/rknn/abi.h"
#include "rknn-emu.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace emulator_test {

namespace abi = rknpu::abi;

#define EMULATOR_TEST_OPTIONAL_SYMBOLS(X)                                                                              \
    X(rknn_matmul_create_dynamic_shape, create_dynamic_shape, int,                                                     \
      (abi::context *, abi::matmul_info *, int, abi::matmul_shape *, abi::matmul_io_attr *))                           \
    X(rknn_matmul_set_dynamic_shape, set_dynamic_shape, int, (abi::context, abi::matmul_shape *))                      \
    X(rknn_matmul_set_quant_params, set_quant_params, int, (abi::context, abi::quant_params *))                        \
    X(rknn_matmul_get_quant_params, get_quant_params, int, (abi::context, abi::quant_params *, float *))               \
    X(rknn_create_mem2, create_mem2, abi::tensor_mem *, (abi::context, uint64_t, uint64_t))                            \
    X(rknn_create_mem_from_phys, create_mem_from_phys, abi::tensor_mem *, (abi::context, uint64_t, void *, uint32_t))  \
    X(rknn_B_normal_layout_to_native_layout, convert_b, int, (void *, void *, int, int, abi::matmul_info *))           \
    X(rknn_emu_get_stats, get_stats, int, (rknn_emu_stats *))                                                          \
    X(rknn_emu_write_stats, write_stats, int, ())                                                                      \
    X(rknn_emu_version, version, const char *, ())

struct runtime {
#define EMULATOR_TEST_MEMBER(symbol, member, result, arguments) result(*member) arguments = nullptr;
    using context = abi::context;
    using matmul_info = abi::matmul_info;
    using matmul_io_attr = abi::matmul_io_attr;
    using matmul_tensor_attr = abi::matmul_tensor_attr;
    using tensor_mem = abi::tensor_mem;
    RKNN_MANDATORY_SYMBOLS(EMULATOR_TEST_MEMBER)
    EMULATOR_TEST_OPTIONAL_SYMBOLS(EMULATOR_TEST_MEMBER)
#undef EMULATOR_TEST_MEMBER
};

const runtime & rt(); // loaded once; ends the process with a line when a symbol is missing
rknn_emu_stats stats();

abi::matmul_info info(int type, int M, int K, int N, int b_layout = abi::layout_native,
                      int ac_layout = abi::layout_native, int domain = 0);
int create_code(const abi::matmul_info & wanted); // return code of a creation; the context is destroyed again

// One matmul with random operands whose exact product every type can represent (unless `large` asks for more).
class rig {
public:
    explicit rig(const abi::matmul_info & what);
    ~rig();
    rig(const rig &) = delete;
    rig & operator=(const rig &) = delete;

    void fill(uint64_t seed, bool large = false); // new codes, written to the CPU side of A and B
    void sync_inputs() const;
    int bind(const char * which = "ABC"); // the first code that is not 0
    int run() const { return rt().matmul_run(ctx); }
    void sync_output() const;
    int bind_run_sync();                   // all of the above after fill
    std::vector<double> output() const;    // [M, N] from the CPU side of C
    std::vector<double> reference() const; // exact sums [M, N], not saturated

    abi::matmul_info what;
    abi::context ctx = 0;
    abi::matmul_io_attr io{};
    abi::tensor_mem * a = nullptr;
    abi::tensor_mem * b = nullptr;
    abi::tensor_mem * c = nullptr;
    std::vector<int> a_codes, b_codes; // [M, K] and [N, K]; f16: units of 1/8
};

// Child processes: EMULATOR_SCENARIO(name) { prints to stdout; return exit code; } runs in a fresh process of this
// program.
using scenario = int (*)();
struct scenario_registration {
    scenario_registration(const char * name, scenario body);
};
#define EMULATOR_SCENARIO(name)                                                                                        \
    static int scenario_##name();                                                                                      \
    static const scenario_registration register_##name(#name, scenario_##name);                                        \
    static int scenario_##name()

struct child_result {
    int exit_code = -1; // 128 + signal when killed
    std::string out, err;
};
using environment = std::map<std::string, std::string>;

// A started scenario. The destructor waits for it.
class child {
public:
    child(const char * scenario_name, const environment & settings);
    ~child();
    child(const child &) = delete;
    child & operator=(const child &) = delete;
    int pid() const { return pid_; }
    const child_result & wait();

private:
    int pid_ = -1;
    int out_ = -1, err_ = -1; // files, so that no pipe can fill up
    bool waited_ = false;
    child_result result_;
};

child_result run_child(const char * scenario_name, const environment & settings = {});
std::string temporary_path(const char * name); // unique to this process

} // namespace emulator_test
