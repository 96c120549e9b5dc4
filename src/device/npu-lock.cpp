// See npu-lock.h.
#include "device/npu-lock.h"

#include "base/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

namespace rknpu {

namespace {

constexpr const char * file_name = "ggml-rknpu.lock";

// The same answer for every user: the first folder that all users may write to.
std::string usual_place() {
    for (const char * folder : {"/run/lock", "/var/lock", "/tmp"}) {
        struct stat info;
        if (stat(folder, &info) == 0 && (info.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH)) {
            return std::string(folder) + "/" + file_name;
        }
    }
    return std::string("/tmp/") + file_name;
}

// Every user of the machine must be able to lock the file, whoever made it. Opened without O_CREAT first: in a sticky
// folder the kernel refuses O_CREAT on another user's file (fs.protected_regular).
int open_lock_file(const std::string & path) {
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    const int existing = ::open(path.c_str(), flags);
    if (existing >= 0 || errno != ENOENT) return existing;
    const int made = ::open(path.c_str(), flags | O_CREAT, 0666);
    if (made >= 0) (void) !fchmod(made, 0666); // past the umask
    return made;
}

// The holder's process id, as it wrote it into the file; for the message only.
std::string holder_name(int fd) {
    char text[32] = {};
    if (pread(fd, text, sizeof(text) - 1, 0) <= 0) return "another program";
    const std::string pid = std::to_string(std::atoi(text));
    std::string name;
    std::ifstream("/proc/" + pid + "/comm") >> name;
    return "process " + pid + (name.empty() ? "" : " (" + name + ")");
}

} // namespace

npu_lock::npu_lock(const std::string & setting)
    : path_(setting == "off"  ? ""
            : setting.empty() ? usual_place()
                              : setting) {}

npu_lock::~npu_lock() {
    if (entrance_ >= 0) close(entrance_);
    if (holder_ >= 0) close(holder_);
}

status npu_lock::open() {
    if (path_.empty()) return {};
    holder_ = open_lock_file(path_);
    entrance_ = open_lock_file(path_ + ".next");
    if (holder_ >= 0 && entrance_ >= 0) return {};
    return {errc::permission,
            "cannot open the lock file " + path_ + " (" + std::strerror(errno) +
                "): remove it, or set GGML_RKNPU_LOCK to a file that every user of the NPU may write"};
}

void npu_lock::wait_for(int fd) {
    using namespace std::chrono;
    const auto start = steady_clock::now();
    bool said = false;
    // Polling, not a blocking flock: only one program polls the holder's lock at a time, and signals keep working.
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            log_warn("the lock %s does not work here (%s): going on without it", path_.c_str(), std::strerror(errno));
            return;
        }
        if (!said && steady_clock::now() - start > seconds(1)) {
            log_info("waiting for %s, which uses the NPU", holder_name(holder_).c_str());
            said = true;
        }
        std::this_thread::sleep_for(microseconds(200));
    }
}

void npu_lock::lock() {
    in_process_.lock();
    if (path_.empty()) return;
    wait_for(entrance_);
    wait_for(holder_);
    flock(entrance_, LOCK_UN);
    const std::string pid = std::to_string(getpid()) + "\n";
    (void)!pwrite(holder_, pid.c_str(), pid.size(), 0);
}

void npu_lock::unlock() {
    if (!path_.empty()) flock(holder_, LOCK_UN);
    in_process_.unlock();
}

} // namespace rknpu
