// See support.h. Also the main() of emulator-test: a scenario when asked for one by the environment, else GoogleTest.
#include "support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>
#include <sstream>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace emulator_test {

namespace {

constexpr const char * scenario_variable = "EMULATOR_TEST_SCENARIO";

template <class F> void resolve(void * library, const char * symbol, F & member) {
    void * address = library ? dlsym(library, symbol) : nullptr;
    if (!address) {
        std::fprintf(stderr, "%s: %s\n", symbol, dlerror());
        std::abort();
    }
    member = reinterpret_cast<F>(address);
}

runtime load() {
    void * library = dlopen(RKNN_EMU_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    runtime r;
#define EMULATOR_TEST_RESOLVE(symbol, member, result, arguments) resolve(library, #symbol, r.member);
    RKNN_MANDATORY_SYMBOLS(EMULATOR_TEST_RESOLVE)
    EMULATOR_TEST_OPTIONAL_SYMBOLS(EMULATOR_TEST_RESOLVE)
#undef EMULATOR_TEST_RESOLVE
    return r;
}

bool is_f16(int type) {
    return type == abi::f16_f16_to_f32 || type == abi::f16_f16_to_f16;
}
bool is_i4(int type) {
    return type == abi::i4_i4_to_i16;
}
size_t input_bits(int type) {
    return is_f16(type) ? 16 : is_i4(type) ? 4 : 8;
}
size_t output_bytes(int type) {
    return type == abi::i8_i8_to_i8 ? 1 : is_i4(type) || type == abi::f16_f16_to_f16 ? 2 : 4;
}

// Exact for code / 8 with |code| < 2048.
uint16_t half_of_eighths(int code) {
    if (code == 0) return 0;
    int exponent = 0;
    const double fraction = std::frexp(std::abs(code) / 8.0, &exponent); // in [0.5, 1)
    const auto mantissa = uint16_t(std::lround((fraction * 2 - 1) * 1024));
    return uint16_t((code < 0 ? 0x8000 : 0) | (exponent - 1 + 15) << 10 | mantissa);
}

double value_of_half(uint16_t half) {
    const int exponent = half >> 10 & 31;
    const double size = exponent == 0 ? std::ldexp(half & 1023, -24) : std::ldexp(1024 + (half & 1023), exponent - 25);
    return half & 0x8000 ? -size : size;
}

void put(uint8_t * bytes, int type, size_t index, int code) {
    if (is_f16(type)) {
        const uint16_t half = half_of_eighths(code);
        std::memcpy(bytes + index * 2, &half, 2);
    } else if (is_i4(type)) {
        const int shift = index % 2 ? 4 : 0;
        bytes[index / 2] = uint8_t((bytes[index / 2] & ~(0xf << shift)) | (code & 0xf) << shift);
    } else {
        bytes[index] = uint8_t(int8_t(code));
    }
}

size_t a_index(const abi::matmul_info & w, size_t m, size_t k) {
    if (w.AC_layout == abi::layout_norm) return m * size_t(w.K) + k;
    const size_t atom = 128 / input_bits(w.type);
    return k / atom * size_t(w.M) * atom + m * atom + k % atom;
}

size_t b_index(const abi::matmul_info & w, size_t n, size_t k) {
    const size_t K = size_t(w.K), N = size_t(w.N), k_max = 8192;
    if (w.B_layout == abi::layout_norm) return k * N + n;
    if (w.B_layout == abi::layout_tp_norm) return n * K + k;
    const size_t tn = is_f16(w.type) ? 16 : is_i4(w.type) ? 64 : 32, tk = 32;
    const size_t k0 = k / k_max * k_max, rows = std::min(k_max, K - k0);
    return k0 * N + (n / tn * (rows / tk) + (k - k0) / tk) * tn * tk + n % tn * tk + (k - k0) % tk;
}

size_t c_index(const abi::matmul_info & w, size_t m, size_t n) {
    if (w.AC_layout == abi::layout_norm) return m * size_t(w.N) + n;
    const size_t atom = 16 / output_bytes(w.type);
    return n / atom * size_t(w.M) * atom + m * atom + n % atom;
}

double c_value(const abi::matmul_info & w, const uint8_t * bytes, size_t index) {
    const uint8_t * at = bytes + index * output_bytes(w.type);
    if (w.type == abi::i8_i8_to_i8) return int8_t(*at);
    uint16_t two;
    std::memcpy(&two, at, 2);
    if (is_i4(w.type)) return int16_t(two);
    if (w.type == abi::f16_f16_to_f16) return value_of_half(two);
    int32_t four;
    float real;
    std::memcpy(&four, at, 4);
    std::memcpy(&real, at, 4);
    return is_f16(w.type) ? double(real) : double(four);
}

} // namespace

const runtime & rt() {
    static const runtime loaded = load();
    return loaded;
}

rknn_emu_stats stats() {
    rknn_emu_stats s{};
    s.struct_size = sizeof(s);
    rt().get_stats(&s);
    return s;
}

abi::matmul_info info(int type, int M, int K, int N, int b_layout, int ac_layout, int domain) {
    abi::matmul_info i{};
    i.M = M, i.K = K, i.N = N;
    i.type = type;
    i.B_layout = int16_t(b_layout);
    i.AC_layout = int16_t(ac_layout);
    i.iommu_domain_id = domain;
    return i;
}

int create_code(const abi::matmul_info & wanted) {
    abi::matmul_info copy = wanted;
    abi::matmul_io_attr io{};
    abi::context ctx = 0;
    const int code = rt().matmul_create(&ctx, &copy, &io);
    if (code == abi::succ) rt().matmul_destroy(ctx);
    return code;
}

rig::rig(const abi::matmul_info & wanted) : what(wanted) {
    if (const int code = rt().matmul_create(&ctx, &what, &io)) {
        ADD_FAILURE() << "rknn_matmul_create: " << code;
        return;
    }
    a = rt().create_mem(ctx, io.A.size);
    b = rt().create_mem(ctx, io.B.size);
    c = rt().create_mem(ctx, io.C.size);
    if (!a || !b || !c) ADD_FAILURE() << "rknn_create_mem";
}

rig::~rig() {
    for (abi::tensor_mem * mem : {a, b, c})
        if (mem) rt().destroy_mem(ctx, mem);
    if (ctx) rt().matmul_destroy(ctx);
}

void rig::fill(uint64_t seed, bool large) {
    std::mt19937_64 random(seed);
    // Small: every sum is exact in the type of C, also int8 (16 * 4 at K = 32) and half (units of 1/64 below 32).
    const int limit = large ? (is_i4(what.type) ? 7 : is_f16(what.type) ? 8 : 127) : 1;
    std::uniform_int_distribution<int> codes(-limit - (large && !is_f16(what.type) ? 1 : 0), limit);
    a_codes.resize(size_t(what.M) * size_t(what.K));
    b_codes.resize(size_t(what.N) * size_t(what.K));
    for (int & code : a_codes)
        code = codes(random);
    for (int & code : b_codes)
        code = codes(random);
    auto * a_bytes = static_cast<uint8_t *>(a->virt_addr);
    auto * b_bytes = static_cast<uint8_t *>(b->virt_addr);
    for (size_t k = 0; k < size_t(what.K); k++) {
        for (size_t m = 0; m < size_t(what.M); m++)
            put(a_bytes, what.type, a_index(what, m, k), a_codes[m * size_t(what.K) + k]);
        for (size_t n = 0; n < size_t(what.N); n++)
            put(b_bytes, what.type, b_index(what, n, k), b_codes[n * size_t(what.K) + k]);
    }
}

void rig::sync_inputs() const {
    rt().mem_sync(ctx, a, abi::sync_to_device);
    rt().mem_sync(ctx, b, abi::sync_to_device);
}

void rig::sync_output() const {
    rt().mem_sync(ctx, c, abi::sync_from_device);
}

int rig::bind(const char * which) {
    for (; *which; which++) {
        abi::tensor_mem * mem = *which == 'A' ? a : *which == 'B' ? b : c;
        abi::matmul_tensor_attr * attr = *which == 'A' ? &io.A : *which == 'B' ? &io.B : &io.C;
        if (const int code = rt().matmul_set_io_mem(ctx, mem, attr)) return code;
    }
    return abi::succ;
}

int rig::bind_run_sync() {
    sync_inputs();
    if (const int code = bind()) return code;
    const int code = run();
    sync_output();
    return code;
}

std::vector<double> rig::output() const {
    std::vector<double> values;
    for (size_t m = 0; m < size_t(what.M); m++)
        for (size_t n = 0; n < size_t(what.N); n++)
            values.push_back(c_value(what, static_cast<const uint8_t *>(c->virt_addr), c_index(what, m, n)));
    return values;
}

std::vector<double> rig::reference() const {
    const size_t K = size_t(what.K);
    std::vector<double> values;
    for (size_t m = 0; m < size_t(what.M); m++)
        for (size_t n = 0; n < size_t(what.N); n++) {
            int64_t sum = 0;
            for (size_t k = 0; k < K; k++)
                sum += a_codes[m * K + k] * b_codes[n * K + k];
            values.push_back(is_f16(what.type) ? double(sum) / 64 : double(sum));
        }
    return values;
}

namespace {

std::map<std::string, scenario> & scenarios() {
    static std::map<std::string, scenario> all;
    return all;
}

int anonymous_file() {
    return memfd_create("emulator-test", MFD_CLOEXEC);
}

std::string content_of(int fd) {
    std::string text;
    char block[4096];
    lseek(fd, 0, SEEK_SET);
    for (ssize_t got; (got = read(fd, block, sizeof(block))) > 0;)
        text.append(block, size_t(got));
    return text;
}

std::vector<std::string> launcher() {
    const char * line = std::getenv("RKNPU_TEST_LAUNCHER");
    std::istringstream stream(line ? line : "");
    return {std::istream_iterator<std::string>(stream), {}};
}

std::string own_path() {
    std::string path(4096, '\0');
    const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
    path.resize(length > 0 ? size_t(length) : 0);
    return path;
}

} // namespace

scenario_registration::scenario_registration(const char * name, scenario body) {
    scenarios()[name] = body;
}

child::child(const char * scenario_name, const environment & settings)
    : out_(anonymous_file()), err_(anonymous_file()) {
    environment all;
    for (char ** entry = environ; *entry; entry++) {
        const char * cut = std::strchr(*entry, '=');
        all[std::string(*entry, size_t(cut - *entry))] = cut + 1;
    }
    for (const auto & [name, value] : settings)
        all[name] = value;
    all[scenario_variable] = scenario_name;
    std::vector<std::string> texts;
    for (const auto & [name, value] : all)
        texts.push_back(name + "=" + value);
    std::vector<char *> pointers;
    for (std::string & text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    // This program again; under an emulated CPU through what ctest started it with ("qemu-aarch64-static -cpu ...").
    std::vector<std::string> words = launcher();
    words.push_back(own_path());
    std::vector<char *> arguments;
    for (std::string & word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(out_, STDOUT_FILENO);
    dup2(err_, STDERR_FILENO);
    execvpe(arguments[0], arguments.data(), pointers.data());
    _exit(127);
}

const child_result & child::wait() {
    if (waited_) return result_;
    waited_ = true;
    int status = 0;
    waitpid(pid_, &status, 0);
    result_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result_.out = content_of(out_);
    result_.err = content_of(err_);
    close(out_);
    close(err_);
    return result_;
}

child::~child() {
    wait();
}

child_result run_child(const char * scenario_name, const environment & settings) {
    return child(scenario_name, settings).wait();
}

std::string temporary_path(const char * name) {
    return ::testing::TempDir() + "emulator-test-" + std::to_string(getpid()) + "-" + name;
}

} // namespace emulator_test

int main(int argc, char ** argv) {
    using namespace emulator_test;
    if (const char * name = std::getenv(scenario_variable)) {
        const auto found = scenarios().find(name);
        return found == scenarios().end() ? 126 : found->second();
    }
    ::testing::InitGoogleTest(&argc, argv);
    const std::string npu = temporary_path("npu");
    setenv("RKNN_EMU_NPU", npu.c_str(), 1);
    setenv("RKNN_EMU_CONTEXT_FDS", "1", 0); // so that contexts are in the accounts that the tests read
    const int code = RUN_ALL_TESTS();
    unlink(npu.c_str());
    return code;
}
