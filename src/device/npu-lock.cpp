// See npu-lock.h.
#include "device/npu-lock.h"

#include "base/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
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

// A lock file of ours is empty or holds the number of a process; anything else is somebody's file, not to be written
// to.
bool is_lock_file(int fd) {
    struct stat info;
    char text[32] = {};
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size >= off_t(sizeof(text))) return false;
    return pread(fd, text, sizeof(text) - 1, 0) >= 0 && std::strspn(text, "0123456789\n") == size_t(info.st_size);
}

// Every user of the machine must be able to lock the file, whoever made it. Opened without O_CREAT first: in a sticky
// folder the kernel refuses O_CREAT on another user's file (fs.protected_regular). Links are not followed, and the mode
// of a file that was there is left alone.
int open_lock_file(const std::string & path) {
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    const int existing = ::open(path.c_str(), flags);
    if (existing >= 0 || errno != ENOENT) return existing;
    const int made = ::open(path.c_str(), flags | O_CREAT | O_EXCL, 0666);
    if (made < 0 && errno == EEXIST) return ::open(path.c_str(), flags); // another program was faster
    if (made >= 0) (void)!fchmod(made, 0666);                            // past the umask
    return made;
}

// Locks or unlocks (F_WRLCK, F_UNLCK) one byte for this open file; the kernel frees it when the process dies.
bool set_byte_lock(int fd, off_t byte, short type) {
    struct flock lock = {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

// Far behind the number of the holder's process.
constexpr off_t holder_byte = 1000, entrance_byte = 1001;

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
    if (fd_ >= 0) close(fd_);
}

status npu_lock::open() {
    if (path_.empty()) return {};
    fd_ = open_lock_file(path_);
    if (fd_ < 0) {
        return {errc::permission, "cannot open the lock file " + path_ + " (" + std::strerror(errno) +
                                      "): set GGML_RKNPU_LOCK to a file that every user of the NPU may write"};
    }
    if (!is_lock_file(fd_)) {
        close(fd_);
        fd_ = -1;
        return {errc::invalid_argument,
                path_ + " is not a lock file of this program: set GGML_RKNPU_LOCK to another name"};
    }
    return {};
}

void npu_lock::wait_for(off_t byte) {
    using namespace std::chrono;
    const auto start = steady_clock::now();
    bool said = false;
    // Polling, not a blocking call: only one program polls the holder's byte at a time, and signals keep working.
    while (!set_byte_lock(fd_, byte, F_WRLCK)) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            log_warn("the lock %s does not work here (%s): going on without it", path_.c_str(), std::strerror(errno));
            return;
        }
        if (!said && steady_clock::now() - start > seconds(1)) {
            log_warn("waiting for %s, which uses the NPU", holder_name(fd_).c_str());
            said = true;
        }
        std::this_thread::sleep_for(microseconds(200));
    }
}

void npu_lock::lock() {
    in_process_.lock();
    if (fd_ < 0) return;
    wait_for(entrance_byte);
    wait_for(holder_byte);
    set_byte_lock(fd_, entrance_byte, F_UNLCK);
    // Always as many digits, so that one write replaces the number of the holder before.
    char pid[16];
    (void)!pwrite(fd_, pid, size_t(std::snprintf(pid, sizeof(pid), "%010d\n", int(getpid()))), 0);
}

void npu_lock::unlock() {
    if (fd_ >= 0) set_byte_lock(fd_, holder_byte, F_UNLCK);
    in_process_.unlock();
}

} // namespace rknpu
