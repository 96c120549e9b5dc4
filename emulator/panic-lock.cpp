// The lock file of the emulated NPU; see panic-lock.h.
#include "panic-lock.h"

#include "log.h"
#include "settings.h"
#include "stats.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rknn_emu {

namespace {

// The content of the file, mapped by every process; lock-free atomics work between processes.
struct npu_file {
    std::atomic<uint32_t> panics;
    std::atomic<int32_t> holder; // process that has jobs in flight, or had them last
};
static_assert(std::atomic<uint32_t>::is_always_lock_free && std::atomic<int32_t>::is_always_lock_free);

struct npu_state {
    std::mutex mutex;
    pid_t process = 0; // that opened the file: a fork shares the lock with its parent and must open its own
    int fd = -1;
    npu_file * file = nullptr;
    uint32_t panics_before = 0;
    int jobs = 0;
    std::atomic<bool> gone{false};
};

npu_state & state() {
    static npu_state * const s = new npu_state;
    return *s;
}

int open_file(const char * path) {
    // Without O_CREAT first: Linux refuses O_CREAT on another user's file in a sticky folder such as /tmp.
    int fd = ::open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        // Other users share the machine, whatever this one's umask says.
        if (fd >= 0 && ::fchmod(fd, 0666) != 0)
            log_error("cannot open %s to other users: %s", path, std::strerror(errno));
    }
    if (fd < 0) return -1;
    struct stat info {};
    const bool sized =
        ::fstat(fd, &info) == 0 && (size_t(info.st_size) >= sizeof(npu_file) || ::ftruncate(fd, sizeof(npu_file)) == 0);
    if (sized) return fd;
    ::close(fd);
    return -1;
}

// With the mutex held. False: the file cannot be used.
bool open_npu(npu_state & s) {
    if (s.fd >= 0 && s.process == getpid()) return true;
    if (s.fd >= 0) ::close(s.fd);
    s.fd = open_file(config().npu_file.c_str());
    if (s.fd < 0) {
        log_always("cannot open %s: %s; set RKNN_EMU_NPU to a file that you may write", config().npu_file.c_str(),
                   std::strerror(errno));
        return false;
    }
    void * map = ::mmap(nullptr, sizeof(npu_file), PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
    if (map == MAP_FAILED) return false;
    s.file = static_cast<npu_file *>(map);
    s.process = getpid();
    s.jobs = 0;
    s.panics_before = s.file->panics;
    return true;
}

void take_part_in_panic(npu_state & s) {
    if (s.gone.exchange(true)) return;
    stats().panics++;
    log_always("the machine has panicked: the NPU does not answer any more");
}

} // namespace

bool job_begin() {
    npu_state & s = state();
    std::lock_guard<std::mutex> lock(s.mutex);
    if (s.gone || !open_npu(s)) return false;
    if (s.file->panics != s.panics_before) {
        take_part_in_panic(s);
        return false;
    }
    if (s.jobs == 0) {
        if (::flock(s.fd, LOCK_EX | LOCK_NB) != 0) {
            log_always("KERNEL PANIC (emulated): processes %d and %d ran NPU jobs at the same time",
                       int(s.file->holder), int(getpid()));
            s.file->panics++;
            take_part_in_panic(s);
            return false;
        }
        s.file->holder = int32_t(getpid());
    }
    s.jobs++;
    return true;
}

void job_end() {
    npu_state & s = state();
    std::lock_guard<std::mutex> lock(s.mutex);
    if (s.file->panics != s.panics_before) take_part_in_panic(s);
    if (--s.jobs == 0) ::flock(s.fd, LOCK_UN);
}

bool device_gone() {
    return state().gone;
}

} // namespace rknn_emu
