// Made-up machines as compact text: one file of /sys, /proc, /dev or /usr per line, planted below a folder.
//
//   /path = content       escapes: \n, \0, {gid} (the tester's group), {aarch64} and {arm} (how such a library begins)
//     more content        a line that begins with a space goes on with the one before it
//   /path = content !660  with this mode
//   /path -> target       a symbolic link
//   -/path                nothing there, nor below it
//
// Invariant: a later line replaces an earlier one, so a fault is a board and the few lines that differ.
#pragma once

#include <string>

namespace rknpu::test {

// The user of every tree is 54321, who owns none of its files; node and heap belong to the tester's group.
constexpr const char * common_files = R"(
/proc/self/status = Name:	rknpu\nUid:	54321	54321	54321	54321\nGid:	54321	54321	54321	54321\nGroups:	44 {gid} \n
  Cpus_allowed_list:	4-7\n
/proc/self/limits = Limit                     Soft Limit           Hard Limit           Units     \n
  Max open files            1024                 524288               files     \n
/proc/swaps = Filename	Type	Size	Used	Priority\n
/etc/group = root:x:0:\nvideo:x:44:\nnpu-users:x:{gid}:\n
)";

constexpr const char * rk3588_files = R"(
/sys/devices/system/cpu/present = 0-7\n
/sys/devices/system/cpu/online = 0-7\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_governor = performance\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq = 1800000\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq = 1800000\n
/sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq = 1800000\n
/sys/devices/system/cpu/cpufreq/policy0/related_cpus = 0 1 2 3\n
/sys/devices/system/cpu/cpufreq/policy4/scaling_governor = performance\n
/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq = 2352000\n
/sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq = 2352000\n
/sys/devices/system/cpu/cpufreq/policy4/cpuinfo_max_freq = 2352000\n
/sys/devices/system/cpu/cpufreq/policy4/related_cpus = 4 5\n
/sys/devices/system/cpu/cpufreq/policy6/scaling_governor = performance\n
/sys/devices/system/cpu/cpufreq/policy6/scaling_cur_freq = 2304000\n
/sys/devices/system/cpu/cpufreq/policy6/scaling_max_freq = 2304000\n
/sys/devices/system/cpu/cpufreq/policy6/cpuinfo_max_freq = 2304000\n
/sys/devices/system/cpu/cpufreq/policy6/related_cpus = 6 7\n
/sys/class/devfreq/fdab0000.npu/governor = performance\n
/sys/class/devfreq/fdab0000.npu/cur_freq = 1000000000\n
/sys/class/devfreq/fdab0000.npu/max_freq = 1000000000\n
/sys/class/devfreq/fdab0000.npu/available_frequencies = 300000000 400000000 600000000 800000000 1000000000\n
/sys/class/thermal/thermal_zone0/type = soc-thermal\n
/sys/class/thermal/thermal_zone0/temp = 47153\n
/sys/class/thermal/thermal_zone1/type = npu-thermal\n
/sys/class/thermal/thermal_zone1/temp = 46230\n
/proc/interrupts =            CPU0       CPU1\n 35:          0          0     GICv3 142 Level     fdab9000.iommu, f
  dab0000.npu\n
/proc/irq/35/smp_affinity_list = 4-7\n
/usr/lib/librknnrt.so = {aarch64}....librknnrt version: 2.3.2 (429f97ae6b@2025-04-09T09:09:27)\0
)";

// The vendor driver of a DRM build, and what a desktop's GPU leaves beside it.
constexpr const char * drm_node = R"(
/sys/module/rknpu/parameters/bypass_irq_handler = 0\n
/sys/class/drm/card0/device/uevent = DRIVER=rockchip-drm\n
/sys/class/drm/card0-HDMI-A-1/status = connected\n
/sys/class/drm/card1/device/uevent = DRIVER=RKNPU\nOF_NAME=npu\n
/sys/class/drm/renderD128/device/uevent = DRIVER=panthor\n
/sys/class/drm/renderD129/device/uevent = DRIVER=RKNPU\nOF_NAME=npu\n
/dev/dri/card0 = !660
/dev/dri/card1 = !660
/dev/dri/renderD128 = !660
/dev/dri/renderD129 = !660
)";

constexpr const char * orange_pi_5 = R"(
/proc/device-tree/model = Orange Pi 5\0
/proc/device-tree/compatible = xunlong,orangepi-5\0rockchip,rk3588s\0rockchip,rk3588\0
/proc/device-tree/npu@fdab0000/status = okay\0
/proc/sys/kernel/osrelease = 6.1.43-rockchip-rk3588\n
/sys/kernel/debug/rknpu/version = RKNPU driver: v0.9.8\n
/sys/class/devfreq/dmc/governor = performance\n
/sys/class/devfreq/dmc/cur_freq = 2112000000\n
/sys/class/devfreq/dmc/max_freq = 2112000000\n
/sys/class/devfreq/dmc/available_frequencies = 528000000 1068000000 1560000000 2112000000\n
/proc/meminfo = MemTotal:        8130180 kB\nMemFree:         6012344 kB\nMemAvailable:    7211232 kB\n
  SwapTotal:       4065088 kB\nSwapFree:        4065088 kB\n
/proc/1201/comm = llama-server\n
/proc/1201/fd/3 -> /dev/dri/renderD128
)";

// Clocks pinned as the vendor's script does, and a driver whose version only root may read.
constexpr const char * rock_5b = R"(
/proc/device-tree/model = Radxa ROCK 5B\0
/proc/device-tree/compatible = radxa,rock-5b\0rockchip,rk3588\0
/proc/device-tree/npu@fdab0000/status = okay\0
/proc/sys/kernel/osrelease = 6.1.84-7-rk2410\n
/sys/class/devfreq/dmc/governor = userspace\n
/sys/class/devfreq/dmc/cur_freq = 2112000000\n
/sys/class/devfreq/dmc/max_freq = 2112000000\n
/sys/class/devfreq/dmc/available_frequencies = 534000000 1320000000 1968000000 2112000000\n
/sys/class/devfreq/fdab0000.npu/governor = userspace\n
/proc/meminfo = MemTotal:       16244752 kB\nMemFree:        13012344 kB\nMemAvailable:   15211232 kB\n
  SwapTotal:             0 kB\nSwapFree:              0 kB\n
)";

// A kernel without a clock for the memory, and the driver built for /dev/rknpu and the dma-heap.
constexpr const char * orange_pi_5_ultra = R"(
/proc/device-tree/model = Orange Pi 5 Ultra\0
/proc/device-tree/compatible = xunlong,orangepi-5-ultra\0rockchip,rk3588\0
/proc/sys/kernel/osrelease = 6.1.115-vendor-rk35xx\n
/proc/rknpu/version = RKNPU driver: v0.9.8\n
/dev/rknpu = !660
/dev/dma_heap/system = !660
/proc/meminfo = MemTotal:       16244752 kB\nMemFree:        13012344 kB\nMemAvailable:   15211232 kB\n
  SwapTotal:       8122368 kB\nSwapFree:        8120000 kB\n
)";

constexpr const char * rock_5b_mainline = R"(
/proc/device-tree/model = Radxa ROCK 5B\0
/proc/device-tree/compatible = radxa,rock-5b\0rockchip,rk3588\0
/proc/sys/kernel/osrelease = 6.18.2-edge-rockchip64\n
/sys/module/rocket/refcnt = 0\n
/sys/class/accel/accel0/device/uevent = DRIVER=rocket\n
/sys/class/drm/renderD128/device/uevent = DRIVER=panthor\n
/dev/accel/accel0 = !660
/proc/meminfo = MemTotal:       16244752 kB\nMemAvailable:   15211232 kB\nSwapTotal:             0 kB\n
  SwapFree:              0 kB\n
-/sys/class/devfreq/fdab0000.npu
)";

constexpr const char * rk3566_board = R"(
/proc/device-tree/model = Radxa ZERO 3\0
/proc/device-tree/compatible = radxa,zero3\0rockchip,rk3566\0
/proc/sys/kernel/osrelease = 5.10.160-39-rk356x\n
/sys/module/rknpu/refcnt = 0\n
/sys/kernel/debug/rknpu/version = RKNPU driver: v0.9.8\n
/sys/devices/system/cpu/present = 0-3\n
/sys/devices/system/cpu/online = 0-3\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_governor = ondemand\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq = 408000\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq = 1608000\n
/sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq = 1608000\n
/sys/devices/system/cpu/cpufreq/policy0/related_cpus = 0 1 2 3\n
/proc/meminfo = MemTotal:        4044752 kB\nMemAvailable:    3211232 kB\nSwapTotal:             0 kB\n
  SwapFree:              0 kB\n
)";

constexpr const char * pc = R"(
/proc/sys/kernel/osrelease = 6.1.0-28-amd64\n
/sys/devices/system/cpu/present = 0-1\n
/sys/devices/system/cpu/online = 0-1\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_governor = powersave\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq = 800000\n
/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq = 4200000\n
/sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq = 4200000\n
/sys/devices/system/cpu/cpufreq/policy0/related_cpus = 0 1\n
/sys/class/drm/card0/device/uevent = DRIVER=i915\n
/sys/class/thermal/thermal_zone0/type = x86_pkg_temp\n
/sys/class/thermal/thermal_zone0/temp = 81000\n
/proc/meminfo = MemTotal:       16244752 kB\nMemAvailable:   15211232 kB\nSwapTotal:             0 kB\n
  SwapFree:              0 kB\n
)";

// Plants the text below root, which is made.
void plant(const std::string & root, const std::string & text);

// A planted folder that goes with the test.
class planted_folder {
public:
    explicit planted_folder(const std::string & text);
    ~planted_folder();
    planted_folder(const planted_folder &) = delete;
    planted_folder & operator=(const planted_folder &) = delete;
    const std::string root;
};

} // namespace rknpu::test
