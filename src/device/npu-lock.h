// A machine-wide lock: one program computes on the NPU at a time. Two at once can panic the vendor kernel (IOMMU
// domains are global to the device); loaded but idle programs are harmless.
//
// Invariant: fair between programs (a turnstile: whoever waits holds the entrance, so the holder cannot come back
// before it), and free again the moment its holder dies, for the kernel drops a dead process's file locks.
#pragma once

#include "base/status.h"

#include <sys/types.h>

#include <mutex>
#include <string>

namespace rknpu {

class npu_lock {
public:
    // setting: a file, empty for the usual place, "off" for none.
    explicit npu_lock(const std::string & setting);
    ~npu_lock();
    npu_lock(const npu_lock &) = delete;

    // Opens the lock file. status: permission, invalid_argument (not a lock file), each with the cure.
    status open();
    // BasicLockable; also excludes other threads of this process. Logs one line when it has waited for a second.
    void lock();
    void unlock();

    const std::string & path() const { return path_; }

private:
    void wait_for(off_t byte);

    std::string path_; // empty: off
    int fd_ = -1;
    std::mutex in_process_;
};

} // namespace rknpu
