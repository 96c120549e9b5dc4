// The doctor's rules on made-up machines: every planted fault is found, and nothing else is; healthy ones are healthy.
#include "doctor/rules.h"

#include "device/versions.h"
#include "doctor-trees.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <sys/stat.h>
#include <unistd.h>

namespace rknpu::doctor {
namespace {

const std::string vendor_board =
    std::string(test::common_files) + test::rk3588_files + test::drm_node + test::orange_pi_5;

const std::string & board_of(const std::string & name) {
    const std::string rk3588 = std::string(test::common_files) + test::rk3588_files;
    static const std::map<std::string, std::string> boards = {
        {"orange_pi_5", vendor_board},
        {"rock_5b", rk3588 + test::drm_node + test::rock_5b},
        {"orange_pi_5_ultra", rk3588 + test::orange_pi_5_ultra},
        {"rock_5b_mainline", rk3588 + test::rock_5b_mainline},
        {"rk3566_board", std::string(test::common_files) + test::rk3566_board},
        {"pc", std::string(test::common_files) + test::pc},
    };
    return boards.at(name);
}

struct planted : test::planted_folder {
    using planted_folder::planted_folder;
    machine read(const char * setting = nullptr) const {
        const char * environment[] = {setting, nullptr};
        return read_machine(root, environment);
    }
};

std::string list(const std::vector<finding> & findings) {
    std::ostringstream text;
    for (const auto & f : findings)
        text << severity_name(f.level) << " " << f.id << ": " << f.what << "\n";
    return text.str();
}

const finding & find(const std::vector<finding> & findings, const std::string & id) {
    for (const auto & f : findings)
        if (f.id == id) return f;
    throw std::runtime_error("no rule " + id);
}

struct fault_case {
    const char * name;
    const char * board;
    const char * lines; // planted on top of the board
    const char * id;    // of the finding
    severity level;
    const char * words; // in what it says
    const char * cure;  // in its cure
    const char * setting = nullptr;
};

std::ostream & operator<<(std::ostream & out, const fault_case & c) {
    return out << c.name;
}

constexpr auto fault = severity::fault, warning = severity::warning;

const fault_case cases[] = {
    {"unsupported_chip", "rk3566_board", "", "chip", fault, "rk3566' is not supported", "on the CPU"},
    {"mainline_kernel", "rock_5b_mainline", "", "driver", fault, "mainline driver rocket", "vendor"},
    {"no_driver", "rock_5b_mainline", "-/sys/module/rocket\n-/sys/class/accel", "driver", fault,
     "no driver for the NPU", "vendor"},
    {"npu_disabled", "rock_5b_mainline",
     "-/sys/module/rocket\n-/sys/class/accel\n/proc/device-tree/npu@fdab0000/status = disabled\\0", "driver", fault,
     "disabled", "rsetup"},
    {"driver_0_8_8", "orange_pi_5", "/sys/kernel/debug/rknpu/version = RKNPU driver: v0.8.8\\n", "driver", fault,
     "0.8.8 is older", "apt-get"},
    {"driver_0_9_2_in_proc", "orange_pi_5_ultra", "/proc/rknpu/version = RKNPU driver: v0.9.2\\n", "driver", fault,
     "0.9.2 is older", "apt-get"},
    {"driver_0_9_6", "orange_pi_5", "/sys/kernel/debug/rknpu/version = RKNPU driver: v0.9.6\\n", "driver", warning,
     "0.9.6 is older than 0.9.8", "apt-get"},
    {"node_of_another_group", "orange_pi_5",
     "/proc/self/status = Name:\trknpu\\nUid:\t54321\t54321\t54321\t54321\\nGid:\t54321\t54321\t54321\t54321\\nGroups:"
     "\t44 \\nCpus_allowed_list:\t4-7\\n",
     "node", fault, "/dev/dri/renderD129", "usermod -aG"},
    {"node_closed_to_its_group", "rock_5b", "/dev/dri/renderD129 = !600", "node", fault, "may not open", "sudo"},
    {"no_node", "orange_pi_5",
     "-/sys/class/drm/renderD129\n-/sys/class/drm/card1\n-/dev/dri/renderD129\n-/dev/dri/card1", "node", fault,
     "no device node", "dmesg"},
    {"heap_closed", "orange_pi_5_ultra", "/dev/dma_heap/system = !600", "dma-heap", fault, "no heap", "dma_heap"},
    {"no_heap", "orange_pi_5_ultra", "-/dev/dma_heap", "dma-heap", fault, "no /dev/dma_heap", "kernel"},
    {"no_runtime", "orange_pi_5", "-/usr/lib/librknnrt.so", "runtime", fault, "none of the usual places", "2.3.2"},
    {"runtime_1_6", "orange_pi_5", "/usr/lib/librknnrt.so = {aarch64}librknnrt version: 1.6.0 (9a7b5d24c@2023)",
     "runtime", fault, "1.6.0 is older than 2.1", "install"},
    {"runtime_2_3_0", "rock_5b", "/usr/lib/librknnrt.so = {aarch64}librknnrt version: 2.3.0 (c949ad889d@2024)",
     "runtime", warning, "older than 2.3.2", "install"},
    {"runtime_of_32_bits", "orange_pi_5", "/usr/lib/librknnrt.so = {arm}librknnrt version: 2.3.2 (429f)", "runtime",
     fault, "for arm, not for aarch64", "aarch64"},
    {"runtime_is_a_page", "orange_pi_5", "/usr/lib/librknnrt.so = <html>404 Not Found</html>", "runtime", fault,
     "not a library", "install"},
    {"runtime_without_version", "rock_5b", "/usr/lib/librknnrt.so = {aarch64}nothing", "runtime", warning,
     "does not say which version", "2.3.2"},
    {"two_runtimes", "orange_pi_5",
     "/usr/lib/aarch64-linux-gnu/librknnrt.so = {aarch64}librknnrt version: 1.5.2 (c6b7b351a@2023)", "runtime", warning,
     "/usr/lib/aarch64-linux-gnu/librknnrt.so is 1.5.2", "sudo rm /usr/lib/aarch64"},
    {"runtime_setting_to_nowhere", "orange_pi_5", "", "runtime", fault, "/nowhere/librknnrt.so does not exist", "unset",
     "GGML_RKNPU_RUNTIME=/nowhere/librknnrt.so"},
    {"cpu_ondemand", "orange_pi_5",
     "/sys/devices/system/cpu/cpufreq/policy4/scaling_governor = ondemand\\n\n"
     "/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq = 408000\\n",
     "cpu-clock", warning, "policy4 at 408 of 2352 MHz, governor ondemand", "policy4/scaling_governor"},
    {"every_cpu_schedutil", "rock_5b",
     "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor = schedutil\\n\n"
     "/sys/devices/system/cpu/cpufreq/policy4/scaling_governor = schedutil\\n\n"
     "/sys/devices/system/cpu/cpufreq/policy6/scaling_governor = schedutil\\n",
     "cpu-clock", warning, "policy6", "policy*/scaling_governor"},
    {"cpu_limited", "orange_pi_5", "/sys/devices/system/cpu/cpufreq/policy6/scaling_max_freq = 1800000\\n", "cpu-clock",
     warning, "policy6 is limited to 1800 of 2304 MHz", "echo 2304000"},
    {"npu_ondemand", "orange_pi_5",
     "/sys/class/devfreq/fdab0000.npu/governor = rknpu_ondemand\\n\n"
     "/sys/class/devfreq/fdab0000.npu/cur_freq = 300000000\\n",
     "npu-clock", warning, "300 of 1000 MHz, governor rknpu_ondemand", "fdab0000.npu/governor"},
    {"npu_pinned_low", "rock_5b", "/sys/class/devfreq/fdab0000.npu/cur_freq = 600000000\\n", "npu-clock", warning,
     "600 of 1000 MHz", "performance"},
    {"npu_limited", "orange_pi_5", "/sys/class/devfreq/fdab0000.npu/max_freq = 800000000\\n", "npu-clock", warning,
     "limited to 800", "echo 1000000000"},
    {"ddr_ondemand", "orange_pi_5",
     "/sys/class/devfreq/dmc/governor = dmc_ondemand\\n\n/sys/class/devfreq/dmc/cur_freq = 528000000\\n", "ddr-clock",
     warning, "dmc at 528 of 2112 MHz", "echo performance | sudo tee /sys/class/devfreq/dmc/governor"},
    {"ddr_limited", "rock_5b", "/sys/class/devfreq/dmc/max_freq = 1560000000\\n", "ddr-clock", warning,
     "limited to 1560 of 2112", "dmc/max_freq"},
    {"slow_cores_only", "orange_pi_5",
     "/proc/self/status = Name:\trknpu\\nUid:\t54321\t54321\t54321\t54321\\nGid:\t54321\t54321\t54321\t54321\\nGroups:"
     "\t44 {gid} \\nCpus_allowed_list:\t0-3\\n",
     "big-cores", warning, "0-3 only", "taskset -c 4-7"},
    {"fast_cores_off", "rock_5b", "/sys/devices/system/cpu/online = 0-5\\n", "cores-online", warning,
     "6-7 are switched off", "for n in 6 7"},
    {"throttling", "orange_pi_5", "/sys/class/thermal/thermal_zone1/temp = 86400\\n", "heat", warning,
     "npu-thermal at 86 C: the chip throttles", "fan"},
    {"warm", "rock_5b", "/sys/class/thermal/thermal_zone0/temp = 78000\\n", "heat", warning, "cost speed", "fan"},
    {"little_memory", "orange_pi_5",
     "/proc/meminfo = MemTotal:        8130180 kB\\nMemAvailable:     611232 kB\\nSwapTotal: 0 kB\\nSwapFree: 0 kB\\n",
     "memory", warning, "0.6 of 7.8 GiB", "ps -eo"},
    {"swapping", "rock_5b",
     "/proc/meminfo = MemTotal:       16244752 kB\\nMemAvailable:   9211232 kB\\nSwapTotal: 8122368 kB\\nSwapFree: "
     "4122368 kB\\n",
     "swap", warning, "3906 of 7932 MiB", "swapoff"},
    {"few_files", "orange_pi_5",
     "/proc/self/limits = Max open files            256                  256                  files\\n", "open-files",
     warning, "at most 256", "limits.d"},
    {"another_npu_program", "orange_pi_5", "/proc/977/comm = rkllm_server\\n\n/proc/977/fd/9 -> /dev/dri/renderD129",
     "npu-users", warning, "rkllm_server (977)", "kill 977"},
    {"lock_off", "rock_5b", "", "lock", warning, "nothing keeps two programs apart", "unset", "GGML_RKNPU_LOCK=off"},
    {"lock_of_root", "orange_pi_5", "/run/lock/ggml-rknpu.lock = !600", "lock", fault, "ggml-rknpu.lock", "chmod 666"},
    {"misspelt_setting", "orange_pi_5", "", "settings", warning, "did you mean GGML_RKNPU_FORMAT", "rknpu settings",
     "GGML_RKNPU_FORMATS=w8a8"},
};

class planted_fault : public testing::TestWithParam<fault_case> {};

TEST_P(planted_fault, is_found_alone) {
    const fault_case & c = GetParam();
    const planted tree(board_of(c.board) + c.lines);
    const auto findings = examine(tree.read(c.setting));
    const finding & f = find(findings, c.id);
    EXPECT_EQ(severity_name(f.level), std::string(severity_name(c.level))) << f.what;
    EXPECT_NE(f.what.find(c.words), std::string::npos) << f.what;
    EXPECT_NE(f.cure.find(c.cure), std::string::npos) << f.cure;
    EXPECT_FALSE(f.why.empty());
    EXPECT_TRUE(f.effect.empty() || !f.source.empty());
    for (const auto & other : findings)
        EXPECT_TRUE(other.id == c.id || other.level < warning) << list(findings);
}

INSTANTIATE_TEST_SUITE_P(trees, planted_fault, testing::ValuesIn(cases),
                         [](const auto & info) { return std::string(info.param.name); });
static_assert(sizeof(cases) / sizeof(cases[0]) >= 25, "the doctor is tested on at least 25 planted faults");

class healthy : public testing::TestWithParam<const char *> {};

TEST_P(healthy, has_no_fault) {
    const planted tree(board_of(GetParam()));
    const auto findings = examine(tree.read());
    for (const auto & f : findings)
        EXPECT_LT(f.level, warning) << list(findings);
    for (const auto & f : findings)
        EXPECT_TRUE(f.repairs.empty()) << f.id;
}

INSTANTIATE_TEST_SUITE_P(trees, healthy, testing::Values("orange_pi_5", "rock_5b", "orange_pi_5_ultra", "pc"),
                         [](const auto & info) { return std::string(info.param); });

TEST(doctor_facts, are_read_as_they_are) {
    const planted tree(vendor_board);
    const machine m = tree.read();
    EXPECT_EQ(m.board, "Orange Pi 5");
    EXPECT_EQ(m.chip, "rk3588s");
    EXPECT_EQ(m.driver_version, "0.9.8");
    ASSERT_EQ(m.runtimes.size(), 1u);
    EXPECT_EQ(m.runtimes[0].version, "2.3.2");
    EXPECT_EQ(cpu_list(m.big_cpus()), "4-7");
    ASSERT_EQ(m.nodes.size(), 1u);
    EXPECT_EQ(m.nodes[0].path, "/dev/dri/renderD129");
    EXPECT_EQ(m.ddr_clock.hardware, 2112000000u);
    EXPECT_EQ(m.fd_hard, 524288u);
    EXPECT_EQ(m.memory_total, uint64_t(8130180) * 1024);
    ASSERT_EQ(m.npu_interrupts.size(), 1u);
    EXPECT_EQ(m.npu_interrupts[0].number, 35);
}

// What a reader of docs/start.md types and what the doctor tells them to type.
TEST(doctor_cures, are_those_of_the_page_about_boards) {
    std::ifstream file(START_PAGE);
    const std::string page{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::string> lines = {
        std::string("Initialized rknpu ") + known_driver,
        std::string("rknpu driver ") + oldest_driver,
        std::string("librknnrt.so` ") + known_runtime,
        "airockchip/rknn-toolkit2",
        "rknpu2/runtime/Linux/librknn_api/aarch64",
        "sudo install -m 644 librknnrt.so /usr/lib/ && sudo ldconfig",
        "/etc/udev/rules.d/99-rknpu.rules",
        "sudo udevadm control --reload && sudo udevadm trigger",
        "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
        "/sys/class/devfreq/fdab0000.npu/governor",
        "/sys/class/devfreq/dmc/governor",
        "taskset -c 4-7",
    };
    const planted closed(vendor_board + "/dev/dri/renderD129 = !600\n/etc/group = root:x:{gid}:\\n\n");
    const std::string cure = find(examine(closed.read()), "node").cure;
    const size_t first = cure.find('\'') + 1, end = cure.find('\'', first);
    ASSERT_NE(end, std::string::npos) << cure;
    for (size_t begin = first, next; (next = cure.find("\\n", begin)) < end; begin = next + 2)
        lines.push_back(cure.substr(begin, next - begin));
    EXPECT_EQ(lines.size(), 15u) << "three rules for udev";
    for (const auto & line : lines)
        EXPECT_NE(page.find(line), std::string::npos) << "docs/start.md lacks: " << line;
    const auto missing = examine(planted(vendor_board + "-/usr/lib/librknnrt.so\n").read());
    EXPECT_NE(find(missing, "runtime").cure.find(std::string("librknnrt.so ") + known_runtime), std::string::npos);
}

TEST(doctor_facts, an_empty_tree_is_no_board_and_no_fault) {
    const planted tree("");
    for (const auto & f : examine(tree.read()))
        EXPECT_LT(f.level, warning) << f.id << ": " << f.what;
}

TEST(doctor_facts, cpu_lists) {
    EXPECT_EQ(parse_cpu_list("0-3,6"), (std::vector<int>{0, 1, 2, 3, 6}));
    EXPECT_EQ(parse_cpu_list("4 5\n"), (std::vector<int>{4, 5}));
    EXPECT_EQ(cpu_list({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
    EXPECT_EQ(version_numbers("RKNPU driver: v0.9.8"), (std::vector<int>{0, 9, 8}));
    EXPECT_TRUE(version_numbers("none 7").empty());
}

TEST(doctor_notes, slow_interrupts_and_unpinned_shells) {
    const planted tree(vendor_board + "/proc/irq/35/smp_affinity_list = 0-7\\n\n/proc/self/status = Uid: 0 0 0 0\\n"
                                      "Cpus_allowed_list:\t0-7\\n\n");
    const auto findings = examine(tree.read());
    EXPECT_EQ(find(findings, "interrupt").level, severity::note);
    EXPECT_EQ(find(findings, "interrupt").cure, "echo 4-7 | sudo tee /proc/irq/35/smp_affinity_list");
    EXPECT_EQ(find(findings, "big-cores").level, severity::note);
}

// The live facts, as the probes would hand them over.
machine live_machine() {
    machine m = planted(vendor_board).read();
    m.llama = {
        true, "/usr/bin/llama-cli", "/usr/lib/libggml.so", "0.25.1", "/usr/lib/libggml-rknpu.so", true, true, "", 0, 0};
    m.test.probed = true;
    m.test.device = "RK3588 NPU";
    m.test.formats = {{"w8a8", 0.011, 0.019, true, true}};
    return m;
}

void expect_finding(const machine & m, const char * id, severity level, const char * words) {
    const auto findings = examine(m);
    const finding & f = find(findings, id);
    EXPECT_EQ(severity_name(f.level), std::string(severity_name(level))) << f.what;
    EXPECT_NE(f.what.find(words), std::string::npos) << f.what;
    EXPECT_TRUE(level == severity::ok || !f.cure.empty());
}

TEST(doctor_llama, every_way_in_which_a_plugin_does_not_load) {
    machine m = live_machine();
    expect_finding(m, "llama.cpp", severity::ok, "loads /usr/lib/libggml-rknpu.so");
    m.llama.reads_path = false;
    expect_finding(m, "llama.cpp", warning, "without GGML_BACKEND_DL");
    m.llama.loads = false;
    m.llama.answer = "undefined symbol";
    expect_finding(m, "llama.cpp", fault, "undefined symbol");
    m.llama.plugin_api = 6;
    m.llama.host_api = 2;
    expect_finding(m, "llama.cpp", fault, "has plugin interface 2, /usr/lib/libggml-rknpu.so has 6");
    m.llama.library.clear();
    expect_finding(m, "llama.cpp", warning, "static build");
    m.llama.plugin.clear();
    expect_finding(m, "llama.cpp", fault, "libggml-rknpu.so");
    m.llama.program.clear();
    expect_finding(m, "llama.cpp", warning, "no program");
}

TEST(doctor_self_test, a_wrong_or_missing_product_is_a_fault) {
    machine m = live_machine();
    expect_finding(m, "self-test", severity::ok, "w8a8 1.1 %");
    m.test.formats[0].on_npu = false;
    expect_finding(m, "self-test", fault, "w8a8 failed on the NPU");
    m.test.formats[0].agrees = false;
    expect_finding(m, "self-test", fault, "w8a8 are not the CPU's");
    m.test.formats[0].error = 0.2;
    expect_finding(m, "self-test", fault, "off the CPU's product");
    m.test.formats[0].error = NAN;
    expect_finding(m, "self-test", fault, "off the CPU's product");
    m.test.failure = "the self-test in i8 failed on core 1";
    expect_finding(m, "self-test", fault, "core 1");
}

#ifdef FAKE_GGML
// A folder with a program and a libggml that answers as FAKE_GGML_ANSWER says.
llama_facts ask_fake(const char * answer) {
    const std::string folder = testing::TempDir() + "rknpu-doctor-llama-" + std::to_string(getpid());
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/llama-cli") << "#!/bin/sh\n";
    chmod((folder + "/llama-cli").c_str(), 0755);
    std::filesystem::create_symlink(FAKE_GGML, folder + "/libggml.so");
    setenv("FAKE_GGML_ANSWER", answer, 1);
    const llama_facts l = probe_llama(folder, FAKE_GGML);
    std::filesystem::remove_all(folder);
    return l;
}

TEST(doctor_llama, asks_the_library_itself) {
    const llama_facts good = ask_fake("good");
    EXPECT_TRUE(good.loads);
    EXPECT_TRUE(good.reads_path);
    EXPECT_EQ(good.ggml_version, "0.99.7");
    EXPECT_FALSE(ask_fake("linked-in").reads_path);
    const llama_facts other = ask_fake("other-version");
    EXPECT_FALSE(other.loads);
    EXPECT_EQ(other.plugin_api, 2);
    EXPECT_EQ(other.host_api, 6);
    const llama_facts crashed = ask_fake("crash");
    EXPECT_FALSE(crashed.loads);
    EXPECT_NE(crashed.answer.find("crashed"), std::string::npos);
}
#endif

} // namespace
} // namespace rknpu::doctor
