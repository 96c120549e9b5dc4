// See board.h.
#include "device/board.h"

#include "base/log.h"
#include "device/versions.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace rknpu {

namespace {

std::string read_file(const std::string & path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Nodes that the vendor driver offers: /dev/rknpu (dma-heap build) or DRM nodes whose driver is RKNPU.
std::vector<std::string> npu_nodes(const std::string & root) {
    std::vector<std::string> nodes;
    if (access((root + "/dev/rknpu").c_str(), F_OK) == 0) nodes.push_back(root + "/dev/rknpu");
    if (DIR * dir = opendir((root + "/sys/class/drm").c_str())) {
        while (const dirent * entry = readdir(dir)) {
            const std::string name = entry->d_name;
            if (name.find("card") != 0 && name.find("renderD") != 0) continue;
            const std::string uevent = read_file(root + "/sys/class/drm/" + name + "/device/uevent");
            if (uevent.find("DRIVER=RKNPU") != std::string::npos) nodes.push_back(root + "/dev/dri/" + name);
        }
        closedir(dir);
    }
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

} // namespace

std::string detect_chip(const std::string & root) {
    // NUL-separated list, most specific first, e.g. "xunlong,orangepi-5\0rockchip,rk3588s\0".
    const std::string compatible = read_file(root + "/proc/device-tree/compatible");
    for (size_t begin = 0; begin < compatible.size();) {
        const size_t end = std::min(compatible.find('\0', begin), compatible.size());
        const std::string word = compatible.substr(begin, end - begin);
        if (word.rfind("rockchip,rk", 0) == 0 || word.rfind("rockchip,rv", 0) == 0) {
            // Boards of the vendor's own are "rockchip,rk3588-evb1": the chip is what stands before the dash.
            const std::string chip = word.substr(9);
            return chip.substr(0, chip.find('-'));
        }
        begin = end + 1;
    }
    return "";
}

status explain_open_failure(const std::string & root) {
    const auto nodes = npu_nodes(root);
    if (nodes.empty()) {
        return {
            errc::not_found,
            std::string("the kernel offers no NPU device (no RKNPU node below /sys/class/drm, no /dev/rknpu): boot a "
                        "vendor kernel with the rknpu driver ") +
                known_driver};
    }
    for (const auto & node : nodes) {
        if (access(node.c_str(), R_OK | W_OK) != 0) {
            return {errc::permission, "no permission to use " + node + ": run 'sudo usermod -aG render,video " +
                                          "$USER', log in again, and check the node's group with 'ls -l " + node + "'"};
        }
    }
    return {errc::device_failed,
            format_text(
                "the NPU device is there and may be opened, but the runtime cannot use it: look at 'dmesg | grep -i "
                "rknpu'; runtime %s is known to work with driver %s",
                known_runtime, known_driver)};
}

std::vector<std::string> runtime_candidates(const std::string & root) {
    std::vector<std::string> paths;
    for (const char * folder :
         {"/usr/lib", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib", "/usr/lib64", "/lib", "/vendor/lib64"}) {
        paths.push_back(root + folder + "/librknnrt.so");
    }
    return paths;
}

memory_bytes machine_memory(const std::string & root) {
    std::ifstream file(root + "/proc/meminfo");
    memory_bytes memory;
    std::string name;
    uint64_t kib = 0;
    for (std::string rest; file >> name >> kib && std::getline(file, rest);) {
        if (name == "MemTotal:") memory.total = kib * 1024;
        if (name == "MemAvailable:") memory.available = kib * 1024;
    }
    return memory;
}

} // namespace rknpu
