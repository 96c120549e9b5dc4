// See machine.h. The files are those of Linux's sysfs, procfs and devfs; the vendor driver's are its debugfs's.
#include "doctor/machine.h"

#include "device/board.h"
#include "doctor/tree.h"
#include "plan/chip.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <set>

#include <sys/stat.h>
#include <sys/utsname.h>

namespace rknpu::doctor {

namespace {

// Kernel process identities, as /proc/self/status tells them.
struct identity {
    uint64_t user = 0;
    std::vector<uint64_t> groups;
};

std::vector<uint64_t> numbers_after(const std::string & text, const char * key) {
    std::vector<uint64_t> all;
    const size_t at = text.find(key);
    if (at == std::string::npos) return all;
    const char * p = text.c_str() + at + std::strlen(key);
    while (*p && *p != '\n') {
        char * end;
        const uint64_t value = std::strtoull(p, &end, 10);
        if (end == p) {
            p++; // a blank or a word
            continue;
        }
        all.push_back(value);
        p = end;
    }
    return all;
}

identity read_identity(const tree & files) {
    const std::string status = files.text("/proc/self/status");
    identity me;
    // Real, effective, saved, filesystem: the last decides on files.
    if (const auto ids = numbers_after(status, "\nUid:"); ids.size() == 4) me.user = ids[3];
    me.groups = numbers_after(status, "\nGroups:");
    if (const auto ids = numbers_after(status, "\nGid:"); ids.size() == 4) me.groups.push_back(ids[3]);
    return me;
}

std::string group_name(const tree & files, uint64_t id) {
    const std::string groups = "\n" + files.text("/etc/group");
    const std::string mark = ":" + std::to_string(id) + ":";
    for (size_t begin = 0; (begin = groups.find('\n', begin)) != std::string::npos;) {
        const size_t end = std::min(groups.find('\n', ++begin), groups.size());
        const std::string line = groups.substr(begin, end - begin);
        if (line.find(mark) != std::string::npos) return line.substr(0, line.find(':'));
    }
    return std::to_string(id);
}

// By mode bits, so that a planted tree is judged as its own user, whoever reads it.
access_point look_at(const tree & files, const std::string & path, const identity & me) {
    access_point point;
    point.path = path;
    struct stat about {};
    if (stat(files.path(path).c_str(), &about) != 0) return point;
    point.group = group_name(files, about.st_gid);
    const auto open_for = [&](unsigned shift) { return ((about.st_mode >> shift) & 6) == 6; };
    const bool in_group = std::count(me.groups.begin(), me.groups.end(), uint64_t(about.st_gid)) > 0;
    point.allowed = me.user == 0 || open_for(me.user == about.st_uid ? 6 : in_group ? 3 : 0);
    return point;
}

void read_driver(const tree & files, machine & m, const identity & me) {
    for (const auto & name : files.names("/sys/class/drm")) {
        if (name.find('-') != std::string::npos) continue; // a connector
        if (files.text("/sys/class/drm/" + name + "/device/uevent").find("DRIVER=RKNPU") == std::string::npos) continue;
        m.nodes.push_back(look_at(files, "/dev/dri/" + name, me));
    }
    // The runtime uses the render node; the card node is the same device for display servers.
    const auto renders = [](const access_point & node) { return node.path.find("renderD") != std::string::npos; };
    if (std::any_of(m.nodes.begin(), m.nodes.end(), renders))
        m.nodes.erase(std::remove_if(m.nodes.begin(), m.nodes.end(), [&](const auto & n) { return !renders(n); }),
                      m.nodes.end());
    if (files.exists("/dev/rknpu")) m.nodes.push_back(look_at(files, "/dev/rknpu", me));
    for (const auto & name : files.names("/dev/dma_heap"))
        m.heaps.push_back(look_at(files, "/dev/dma_heap/" + name, me));
    for (const char * path : {"/sys/kernel/debug/rknpu/version", "/sys/kernel/debug/rknpu/driver_version",
                              "/proc/rknpu/version", "/sys/module/rknpu/version"}) {
        const auto numbers = version_numbers(files.text(path));
        if (numbers.size() != 3 || !m.driver_version.empty()) continue;
        for (const int n : numbers)
            m.driver_version += (m.driver_version.empty() ? "" : ".") + std::to_string(n);
    }
    m.driver_loaded = !m.nodes.empty() || !m.driver_version.empty() || files.exists("/sys/module/rknpu") ||
                      files.exists("/sys/bus/platform/drivers/RKNPU/fdab0000.npu");
    m.rocket = files.exists("/sys/module/rocket");
    for (const auto & name : files.names("/sys/class/accel"))
        m.rocket |=
            files.text("/sys/class/accel/" + name + "/device/uevent").find("DRIVER=rocket") != std::string::npos;
    for (const auto & name : files.names("/proc/device-tree"))
        if (name.rfind("npu@", 0) == 0)
            m.npu_disabled |= files.text("/proc/device-tree/" + name + "/status") == "disabled";
}

std::string architecture_of(const std::string & content) {
    if (content.size() < 20 || content.compare(0, 4, "\177ELF") != 0) return "";
    const int machine_code = uint8_t(content[18]) | uint8_t(content[19]) << 8; // little-endian, as all of these are
    return machine_code == 183  ? "aarch64"
           : machine_code == 40 ? "arm"
           : machine_code == 62 ? "x86_64"
                                : "another machine";
}

void read_runtimes(const tree & files, machine & m) {
    std::vector<std::string> paths;
    m.runtime_named = !m.wishes.runtime.empty();
    if (m.runtime_named)
        paths = {m.wishes.runtime};
    else
        paths = runtime_candidates();
    std::set<std::pair<uint64_t, uint64_t>> seen; // /lib is /usr/lib on most systems
    for (const auto & path : paths) {
        struct stat about {};
        if (stat(files.path(path).c_str(), &about) != 0 || !seen.insert({about.st_dev, about.st_ino}).second) continue;
        const std::string content = files.content(path);
        runtime_file file{path, "", architecture_of(content), content.find("rknn_emu_version") != std::string::npos};
        constexpr const char * mark = "librknnrt version:";
        if (const size_t at = content.find(mark); at != std::string::npos)
            for (const int n : version_numbers(content.substr(at, 64)))
                file.version += (file.version.empty() ? "" : ".") + std::to_string(n);
        m.runtimes.push_back(file);
    }
}

void read_clocks(const tree & files, machine & m) {
    m.cpu_clocks = read_cpu_clocks(files);
    m.npu_clock = read_npu_clock(files);
    m.ddr_clock = read_ddr_clock(files);
    m.cpus_present = parse_cpu_list(files.text("/sys/devices/system/cpu/present"));
    m.cpus_online = parse_cpu_list(files.text("/sys/devices/system/cpu/online"));
    const std::string status = files.text("/proc/self/status");
    if (const size_t at = status.find("Cpus_allowed_list:"); at != std::string::npos)
        m.cpus_allowed = parse_cpu_list(status.substr(at + 18, status.find('\n', at) - at - 18));
}

void read_interrupts(const tree & files, machine & m) {
    std::string table = files.text("/proc/interrupts") + "\n";
    for (size_t begin = 0, end; (end = table.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const std::string line = table.substr(begin, end - begin);
        if (line.find(".npu") == std::string::npos) continue;
        const int number = std::atoi(line.c_str());
        const std::string list = files.text("/proc/irq/" + std::to_string(number) + "/smp_affinity_list");
        if (number > 0 && !list.empty()) m.npu_interrupts.push_back({number, parse_cpu_list(list)});
    }
}

void read_memory(const tree & files, machine & m) {
    const std::string info = "\n" + files.text("/proc/meminfo");
    const auto kib = [&](const char * key) {
        const auto found = numbers_after(info, key);
        return found.empty() ? 0 : found[0] * 1024;
    };
    m.memory_total = kib("\nMemTotal:");
    m.memory_available = kib("\nMemAvailable:");
    m.swap_total = kib("\nSwapTotal:");
    m.swap_free = kib("\nSwapFree:");
    const std::string limits = files.text("/proc/self/limits");
    const size_t at = limits.find("Max open files");
    if (at == std::string::npos) return;
    char soft[32] = "", hard[32] = "";
    if (std::sscanf(limits.c_str() + at + 14, "%31s %31s", soft, hard) != 2) return;
    const auto value = [](const char * word) {
        return std::strcmp(word, "unlimited") == 0 ? UINT64_MAX : std::strtoull(word, nullptr, 10);
    };
    m.fd_soft = value(soft);
    m.fd_hard = value(hard);
}

void read_users(const tree & files, machine & m) {
    const std::string self = files.link("/proc/self");
    for (const auto & pid : files.names("/proc")) {
        if (!std::isdigit(uint8_t(pid[0])) || pid == self) continue;
        for (const auto & fd : files.names("/proc/" + pid + "/fd")) {
            const std::string target = files.link("/proc/" + pid + "/fd/" + fd);
            const auto opened = [&](const access_point & node) { return node.path == target; };
            if (std::none_of(m.nodes.begin(), m.nodes.end(), opened)) continue;
            m.npu_users.push_back({std::atoi(pid.c_str()), files.text("/proc/" + pid + "/comm")});
            break;
        }
    }
}

void read_lock(const tree & files, machine & m, const identity & me) {
    if (m.wishes.lock == "off") return;
    const std::vector<std::string> usual = {"/run/lock/ggml-rknpu.lock", "/tmp/ggml-rknpu.lock"};
    for (const auto & path : m.wishes.lock.empty() ? usual : std::vector<std::string>{m.wishes.lock}) {
        if (!files.exists(path)) continue;
        m.lock = look_at(files, path, me);
        return;
    }
}

} // namespace

bool machine::supported() const {
    return find_chip(chip).ok();
}

std::vector<int> machine::big_cpus() const {
    return fastest_cpus(cpu_clocks);
}

machine read_machine(const std::string & root, const char * const * environment) {
    const tree files(root);
    machine m;
    m.root = root;
    m.wishes = read_settings(environment, m.complaints);
    m.board = files.text("/proc/device-tree/model");
    m.chip = detect_chip(root);
    m.kernel = files.text("/proc/sys/kernel/osrelease");
    utsname here{};
    if (uname(&here) == 0) m.architecture = here.machine;
    const identity me = read_identity(files);
    read_driver(files, m, me);
    read_runtimes(files, m);
    read_clocks(files, m);
    read_interrupts(files, m);
    m.zones = read_zones(files);
    read_memory(files, m);
    read_users(files, m);
    read_lock(files, m, me);
    return m;
}

std::vector<int> version_numbers(const std::string & text) {
    int a = 0, b = 0, c = 0;
    for (const char * p = text.c_str(); *p; p++) {
        if (!std::isdigit(uint8_t(*p))) continue;
        const int n = std::sscanf(p, "%d.%d.%d", &a, &b, &c);
        if (n == 3) return {a, b, c};
        if (n == 2) return {a, b};
        while (std::isdigit(uint8_t(p[1])))
            p++;
    }
    return {};
}

} // namespace rknpu::doctor
