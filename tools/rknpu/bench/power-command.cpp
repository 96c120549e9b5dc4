// See power-command.h.
#include "bench/power-command.h"

#include "base/log.h"

#include <cctype>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" char ** environ;

namespace rknpu {

namespace {

using std::chrono::steady_clock;

constexpr size_t kept_bytes = 4096; // of what a command prints: its last number counts

// Starts the shell in a process group of its own, so that all that it starts can be ended.
result<pid_t> start(const std::string & command, int output) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    std::string shell = "/bin/sh", option = "-c", text = command;
    char * const argv[] = {shell.data(), option.data(), text.data(), nullptr};
    pid_t pid = -1;
    const int failed = posix_spawn(&pid, "/bin/sh", &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (failed) return status(errc::device_failed, std::string("cannot start /bin/sh: ") + std::strerror(failed));
    return pid;
}

// Reads until the end, the limit, or until asked to give up, and keeps the last bytes; true: it was the end.
bool read_all(int input, std::string & text, steady_clock::time_point end, const std::function<bool()> & given_up) {
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - steady_clock::now()).count();
        if (left <= 0 || given_up()) return false;
        pollfd wait{input, POLLIN, 0};
        if (poll(&wait, 1, int(std::min<long long>(left, 50))) <= 0) continue;
        char bytes[512];
        const ssize_t n = read(input, bytes, sizeof(bytes));
        if (n == 0) return true;
        if (n > 0) text.append(bytes, size_t(n));
        if (text.size() > kept_bytes) text.erase(0, text.size() - kept_bytes);
        if (n < 0 && errno != EINTR && errno != EAGAIN) return true;
    }
}

// Waits for the shell until the limit, then ends all that is left of its group; how it ended, or nothing: it was ended.
std::optional<int> collect(pid_t pid, bool said_all, steady_clock::time_point limit) {
    siginfo_t about{};
    while (said_all && waitid(P_PID, id_t(pid), &about, WEXITED | WNOHANG | WNOWAIT) == 0 && about.si_pid == 0) {
        if (steady_clock::now() > limit) said_all = false;
        poll(nullptr, 0, 1);
    }
    kill(-pid, SIGKILL); // the group exists until the shell is waited for
    int how = 0;
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
    }
    return said_all ? std::optional<int>(how) : std::nullopt;
}

} // namespace

result<double> last_number(const std::string & text) {
    std::optional<double> last;
    for (const char * p = text.c_str(); *p;) {
        char * end = nullptr;
        const double value = std::strtod(p, &end);
        // Not that of a name: "ina226 4.1 W".
        const bool in_word = p != text.c_str() && std::isalnum(uint8_t(p[-1]));
        const bool is_number = end != p && std::isfinite(value) && !in_word && !std::isalpha(uint8_t(*p));
        if (is_number) last = value;
        p = is_number ? end : p + 1;
    }
    if (last) return *last;
    return status(errc::device_failed, "it printed no number");
}

result<double> read_power_command(const std::string & command, double limit_seconds,
                                  const std::function<bool()> & given_up) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return status(errc::out_of_memory, std::string("cannot make a pipe: ") + std::strerror(errno));
    const auto pid = start(command, ends[1]);
    close(ends[1]);
    std::optional<int> how;
    std::string text;
    if (pid.ok()) {
        const auto limit = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                                     std::chrono::duration<double>(limit_seconds));
        const bool said_all = read_all(ends[0], text, limit, given_up);
        how = collect(pid.value(), said_all, limit);
    }
    close(ends[0]);
    if (!pid.ok()) return pid.status();
    if (!how) return status(errc::timeout, format_text("it took longer than %g s", limit_seconds));
    if (WIFSIGNALED(*how)) return status(errc::device_failed, format_text("signal %d", WTERMSIG(*how)));
    if (WEXITSTATUS(*how) != 0) return status(errc::device_failed, format_text("exit code %d", WEXITSTATUS(*how)));
    return last_number(text);
}

} // namespace rknpu
