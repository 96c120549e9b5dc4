// See rules.h. The table is at the end; the rules that judge clocks and cores are in speed-rules.cpp.
#include "doctor/rules.h"

#include "base/log.h"
#include "device/versions.h"
#include "doctor/verdict.h"
#include "plan/chip.h"

#include <algorithm>

namespace rknpu::doctor {

namespace {

constexpr const char * vendor_kernel = "boot your board maker's kernel (5.10 or 6.1; Armbian: the branch 'vendor', "
                                       "sudo armbian-config switches to it)";
std::string install_runtime() {
    return std::string("download librknnrt.so ") + known_runtime +
           " from Rockchip's repository airockchip/rknn-toolkit2 (rknpu2/runtime/Linux/librknn_api/aarch64), then: "
           "sudo "
           "install -m 644 librknnrt.so /usr/lib/ && sudo ldconfig";
}

std::string emulator_cure(const machine & m) {
    return m.emulator.empty() ? "make build, then: rknpu doctor --emulator"
                              : "rknpu doctor --emulator   (or export GGML_RKNPU_RUNTIME=" + m.emulator + ")";
}

bool older(const std::string & version, const char * than) {
    return version_numbers(version) < version_numbers(than);
}

verdict judge_chip(const machine & m) {
    const std::string board = m.board.empty() ? "" : m.board + ", ";
    if (!m.on_board()) {
        return {severity::note, "no Rockchip board (" + m.architecture + "): the emulator can stand in for its NPU",
                emulator_cure(m)};
    }
    if (!m.supported())
        return {severity::fault, board + find_chip(m.chip).status().message(),
                "none yet; llama.cpp works as before, on the CPU"};
    return {severity::ok, board + m.chip};
}

verdict judge_driver(const machine & m) {
    const std::string kernel = m.kernel.empty() ? "the kernel" : "kernel " + m.kernel;
    if (m.driver_loaded && m.driver_version.empty())
        return {severity::note, kernel + " has the vendor driver rknpu, of a version that only root may read",
                "sudo rknpu doctor"};
    if (m.driver_loaded) {
        const std::string what = kernel + ", driver rknpu " + m.driver_version;
        constexpr const char * update =
            "update the image's kernel: sudo apt-get update && sudo apt-get full-upgrade, then reboot";
        if (older(m.driver_version, oldest_driver))
            return {severity::fault, what + " is older than " + oldest_driver, update};
        if (older(m.driver_version, known_driver))
            return {severity::warning, what + " is older than " + known_driver + ", which the published work used",
                    update};
        return {severity::ok, what};
    }
    if (m.rocket)
        return {severity::fault, kernel + " has the mainline driver rocket, which librknnrt does not speak",
                vendor_kernel};
    if (!m.supported()) return {severity::note, "no NPU driver"};
    if (m.npu_disabled)
        return {
            severity::fault, "the device tree of " + kernel + " has the NPU disabled",
            "switch the NPU's overlay on (Radxa: sudo rsetup, Overlays; Armbian: sudo armbian-config), then reboot"};
    return {severity::fault, kernel + " has no driver for the NPU", vendor_kernel};
}

// A node of root's gets a group by a rule of udev, which lasts; docs/start.md, step 3, has the same.
constexpr const char * add_udev_rule =
    "printf 'KERNEL==\"rknpu\", GROUP=\"render\", MODE=\"0660\"\\nSUBSYSTEM==\"dma_heap\", GROUP=\"render\", "
    "MODE=\"0660\"\\nSUBSYSTEM==\"drm\", KERNEL==\"renderD*\", GROUP=\"render\", MODE=\"0660\"\\n' | sudo tee "
    "/etc/udev/rules.d/99-rknpu.rules && sudo udevadm control --reload && sudo udevadm trigger && sudo usermod -aG "
    "render $USER, then log in again";

std::string open_up(const access_point & point) {
    if (point.group == "root" || point.group == "0" || point.group.empty()) return add_udev_rule;
    return "sudo usermod -aG " + point.group + " $USER, then log in again (and see that ls -l " + point.path +
           " says rw for the group)";
}

verdict judge_node(const machine & m) {
    if (m.nodes.empty())
        return {m.supported() && m.driver_loaded ? severity::fault : severity::note, "no device node of an NPU",
                m.supported() && m.driver_loaded
                    ? "sudo dmesg | grep -i rknpu   (the driver is there, its device is not)"
                    : ""};
    for (const auto & node : m.nodes)
        if (!node.allowed)
            return {severity::fault, "this user may not open " + node.path + " (group " + node.group + ")",
                    open_up(node)};
    return {severity::ok, m.nodes.front().path + " may be opened"};
}

verdict judge_heap(const machine & m) {
    const bool needed =
        std::any_of(m.nodes.begin(), m.nodes.end(), [](const auto & n) { return n.path == "/dev/rknpu"; });
    if (!needed) return {severity::ok, "no dma-heap is needed: the NPU's memory comes from its own node"};
    if (m.heaps.empty())
        return {severity::fault, "/dev/rknpu takes its memory from a dma-heap, and there is no /dev/dma_heap",
                vendor_kernel};
    for (const auto & heap : m.heaps)
        if (heap.allowed) return {severity::ok, heap.path + " may be opened"};
    return {severity::fault, "this user may open no heap of /dev/dma_heap, from which /dev/rknpu takes its memory",
            open_up(m.heaps.front())};
}

verdict judge_runtime(const machine & m) {
    if (m.runtimes.empty()) {
        if (m.runtime_named)
            return {severity::fault, "GGML_RKNPU_RUNTIME=" + m.wishes.runtime + " does not exist",
                    "unset GGML_RKNPU_RUNTIME, or give the path of your librknnrt.so"};
        if (!m.supported()) return {severity::note, "no librknnrt.so; only boards need it", ""};
        return {severity::fault, "librknnrt.so is in none of the usual places", install_runtime()};
    }
    const runtime_file & first = m.runtimes.front();
    if (first.emulator) return {severity::ok, first.path + " is the emulator"};
    if (first.architecture.empty()) return {severity::fault, first.path + " is not a library", install_runtime()};
    if (m.on_board() && first.architecture != "aarch64")
        return {severity::fault, first.path + " is for " + first.architecture + ", not for aarch64", install_runtime()};
    if (first.version.empty())
        return {severity::warning, first.path + " does not say which version it is", install_runtime()};
    const std::string what = first.path + " " + first.version;
    if (older(first.version, oldest_runtime))
        return {severity::fault, what + " is older than " + oldest_runtime + ": its matmul interface is another",
                install_runtime()};
    if (older(first.version, known_runtime))
        return {severity::warning, what + " is older than " + known_runtime + ", which the published work used",
                install_runtime()};
    for (const auto & other : m.runtimes)
        if (other.version != first.version)
            return {severity::warning,
                    what + " is used, but " + other.path + " is " +
                        (other.version.empty() ? "of no known version" : other.version),
                    "sudo rm " + other.path + "   (or export GGML_RKNPU_RUNTIME=<the one to use>)"};
    return {severity::ok, what};
}

verdict judge_memory(const machine & m) {
    if (m.memory_total == 0) return {severity::note, "no figures of the memory"};
    const double gib = double(1 << 30);
    const std::string what =
        format_text("%.1f of %.1f GiB available", double(m.memory_available) / gib, double(m.memory_total) / gib);
    if (m.memory_available < std::max(uint64_t(1) << 30, m.memory_total / 10))
        return {severity::warning, what, "close what takes memory: ps -eo pid,comm,rss --sort=-rss | head"};
    return {severity::ok, what};
}

verdict judge_swap(const machine & m) {
    const uint64_t used = m.swap_total - std::min(m.swap_free, m.swap_total);
    const std::string what = m.swap_total
                                 ? format_text("%llu of %llu MiB of swap in use", (unsigned long long)(used >> 20),
                                               (unsigned long long)(m.swap_total >> 20))
                                 : "no swap";
    if (used > uint64_t(256) << 20)
        return {severity::warning, what, "close what takes memory, then: sudo swapoff -a && sudo swapon -a"};
    return {severity::ok, what};
}

verdict judge_files(const machine & m) {
    if (m.fd_hard == 0) return {severity::note, "no limit of open files is known"};
    if (m.fd_hard < 1024)
        return {severity::warning, format_text("at most %llu open files", (unsigned long long)m.fd_hard),
                "echo \"$USER - nofile 65536\" | sudo tee /etc/security/limits.d/npu.conf, then log in again (a "
                "service: LimitNOFILE=65536)"};
    return {severity::ok,
            m.fd_hard == UINT64_MAX
                ? "no limit of open files"
                : format_text("up to %llu open files; the plugin raises its own limit", (unsigned long long)m.fd_hard)};
}

verdict judge_users(const machine & m) {
    if (m.npu_users.empty()) return {severity::ok, "no other program of this user has the NPU open"};
    std::string what = "the NPU is also open in";
    std::string cure = "end it, if it is not needed: kill";
    for (const auto & user : m.npu_users) {
        what += format_text("%s %s (%d)", &user == &m.npu_users.front() ? "" : ",", user.name.c_str(), user.pid);
        cure += " " + std::to_string(user.pid);
    }
    return {severity::warning, what, cure};
}

verdict judge_lock(const machine & m) {
    if (m.wishes.lock == "off")
        return {severity::warning, "GGML_RKNPU_LOCK=off: nothing keeps two programs apart", "unset GGML_RKNPU_LOCK"};
    if (!m.lock.path.empty() && !m.lock.allowed)
        return {severity::fault, "this user may not write " + m.lock.path, "sudo chmod 666 " + m.lock.path};
    return {severity::ok, m.lock.path.empty() ? "will be made by the first program" : m.lock.path};
}

verdict judge_settings(const machine & m) {
    if (m.complaints.empty()) return {severity::ok, "every GGML_RKNPU_ variable is known and usable"};
    std::string what;
    for (const auto & line : m.complaints)
        what += (what.empty() ? "" : "; ") + line;
    return {severity::warning, what, "rknpu settings"};
}

verdict judge_llama(const machine & m) {
    const llama_facts & l = m.llama;
    if (!l.probed) return {severity::note, "not looked for: these are the files of another machine"};
    if (l.program.empty())
        return {severity::warning, "no program of llama.cpp in PATH",
                "make build, or: rknpu doctor --llama-bin <folder of llama.cpp's programs>"};
    if (l.plugin.empty())
        return {severity::fault, "libggml-rknpu.so is not beside this program",
                "make build, or: rknpu doctor --plugin <path of libggml-rknpu.so>"};
    constexpr const char * rebuild = "LLAMA_CPP_SOURCE_DIR=<your llama.cpp checkout> make build";
    constexpr const char * build_flags = "cmake -B build -DGGML_BACKEND_DL=ON -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=OFF "
                                         "&& cmake --build build   (in llama.cpp)";
    if (l.library.empty())
        return {severity::warning,
                l.program + " has no libggml.so beside it: a static build can load no plugin at start", build_flags};
    const std::string host =
        l.program + " (ggml " + (l.ggml_version.empty() ? "of unknown version" : l.ggml_version) + ")";
    if (l.plugin_api != l.host_api)
        return {severity::fault,
                format_text("%s has plugin interface %d, %s has %d", host.c_str(), l.host_api, l.plugin.c_str(),
                            l.plugin_api),
                rebuild};
    if (!l.loads)
        return {severity::fault, host + " cannot load " + l.plugin + (l.answer.empty() ? "" : ": " + l.answer),
                rebuild};
    if (!l.reads_path)
        return {severity::warning,
                host + " is built without GGML_BACKEND_DL: it reads GGML_BACKEND_PATH only where --device, "
                       "--list-devices, --rpc or -ot is given",
                build_flags};
    return {severity::ok, host + " loads " + l.plugin + " through GGML_BACKEND_PATH"};
}

verdict judge_self_test(const machine & m) {
    const self_test_facts & t = m.test;
    if (!t.probed) return {severity::note, "not run: these are the files of another machine"};
    if (t.nothing_there) return {severity::note, "not run: no NPU here", emulator_cure(m)};
    if (!t.failure.empty()) return {severity::fault, t.failure, "rknpu info; docs/troubleshooting.md has the line"};
    std::string good;
    for (const auto & f : t.formats) {
        const std::string error = format_text("%s %.2g %%", f.name.c_str(), 100 * f.error);
        if (!(f.error <= f.allowed))
            return {severity::fault,
                    format_text("%s is off the CPU's product by %.2g %%; its resolution explains %.2g %%",
                                f.name.c_str(), 100 * f.error, 100 * f.allowed),
                    "GGML_RKNPU_CHECK=1 make run, and please report what it prints"};
        if (!f.agrees)
            return {severity::fault, "accumulators of " + f.name + " are not the CPU's",
                    "GGML_RKNPU_CHECK=1 make run, and please report what it prints"};
        if (!f.on_npu)
            return {severity::fault, "jobs of " + f.name + " failed on the NPU and ran on the CPU",
                    "sudo dmesg | grep -i rknpu"};
        good += (good.empty() ? "" : ", ") + error;
    }
    return {severity::ok, t.device + ": off the CPU's f32 by " + good};
}

struct rule {
    const char *id, *why, *effect, *source;
    verdict (*judge)(const machine &);
};

constexpr rule rules[] = {
    {"chip", "formats and limits are those of one chip", "", "chip table of this program", judge_chip},
    {"driver", "the runtime speaks to the vendor's driver only, and old ones know a single address space", "",
     "vendor kernel sources; matmul API reference of the runtime", judge_driver},
    {"node", "the runtime opens this node with the rights of the user", "", "docs/start.md, step 3", judge_node},
    {"dma-heap", "with /dev/rknpu instead of a DRM node, all NPU memory comes from a dma-heap", "",
     "vendor kernel, CONFIG_ROCKCHIP_RKNPU_DMA_HEAP", judge_heap},
    {"runtime", "every product goes through this library", "", "docs/start.md, step 2", judge_runtime},
    {"cpu-clock", "norms, attention and quantizing run on the A76 cores, which drop to 600 MHz when idle",
     "performance instead of ondemand: +32 % tokens/s; one YOLO run 59 -> 35 ms",
     "Mojo24x7/rk-llama.cpp BENCHMARKS.md (ROCK 5B+); gregordinary/rockchip-npu-notes; pty819/rk-llama.cpp for the 600 "
     "MHz",
     judge_cpu_clock},
    {"npu-clock", "a product of many rows takes its time in NPU cycles: 6 TOPS are those of 1 GHz", "",
     "vendor's figure for the RK3588", judge_npu_clock},
    {"ddr-clock", "decoding streams every weight from memory for each token",
     "DDR at 2112 instead of 528 MHz: 11.2 instead of 5.5 tokens/s (vendor's LLM runtime)",
     "oRKLLM/ork-driver FEASIBILITY-LOG M15 (ROCK 5B)", judge_ddr_clock},
    {"big-cores", "a thread on an A55 makes the whole team wait at every node",
     "four threads on the A76: +13 % decode, +19 % prefill; eight threads cost up to 56 %",
     "marfrit/rk-llama.cpp campaign results; Mojo24x7/rk-llama.cpp", judge_big_cores},
    {"cores-online", "a core that is off computes nothing", "", "kernel, /sys/devices/system/cpu/online", judge_online},
    {"interrupt", "the end of each job is an interrupt; a slow core answers it late",
     "27 us a job on an A76, 51 us on an A55 (mainline driver)", "gregordinary/rockchip-npu-notes (Turing RK1)",
     judge_interrupt},
    {"heat", "a hot chip lowers its clocks", "at 75-81 C 15 % less; first throttling step at 85 C",
     "pty819/rk-llama.cpp (Orange Pi 5)", judge_heat},
    {"memory",
     "weights on the NPU cannot be swapped out; less than 1 GiB or a tenth is little (a rule of thumb of ours)", "", "",
     judge_memory},
    {"swap", "weights that are read again from disk decide the speed",
     "9.15 tokens/s where a repeated prompt finds its experts in memory, 6.00 with a new one",
     "Mojo24x7/rk-llama.cpp MEMORY-RESIDENCY.md (ROCK 5B+)", judge_swap},
    {"open-files", "every NPU allocation is a file descriptor; without one left, the runtime crashed for others",
     "errno 24, then a segmentation fault, at 1024 (their backends; this one holds about 90 for a 1B model, emulated)",
     "invisiofficial, pty819 and marfrit/rk-llama.cpp", judge_files},
    {"npu-users",
     "address spaces belong to the device, not to a program: two that compute at once can panic the vendor kernel",
     "board hangs until power is cycled", "igou-io/igou-kubernetes#869, #871", judge_users},
    {"lock", "the lock keeps two programs of ours from computing at once, which can panic the vendor kernel",
     "board hangs until power is cycled", "igou-io/igou-kubernetes#869, #871", judge_lock},
    {"settings", "a misspelt setting has no effect", "", "docs/settings.md", judge_settings},
    {"llama.cpp", "ggml's plugin interface is versioned, and only some builds look for plugins", "",
     "ggml-backend-reg.cpp of llama.cpp v0.5.0", judge_llama},
    {"self-test", "small products of every format: each accumulator against the CPU's, the outputs against f32", "",
     "this program; each allowance is twice the format's own rounding noise", judge_self_test},
};

} // namespace

const char * severity_name(severity level) {
    switch (level) {
    case severity::ok:
        return "ok";
    case severity::note:
        return "note";
    case severity::warning:
        return "warning";
    case severity::fault:
        return "fault";
    }
    return "";
}

std::vector<finding> examine(const machine & m) {
    std::vector<finding> all;
    for (const rule & r : rules) {
        const verdict v = r.judge(m);
        all.push_back({r.id, v.level, v.what, r.why, r.effect, r.source, v.cure, v.repairs});
    }
    return all;
}

} // namespace rknpu::doctor
