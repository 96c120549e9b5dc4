// See child.h.
#include "child.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rknpu {

namespace {

using seconds = std::chrono::duration<double>;
using std::chrono::steady_clock;

constexpr int poll_ms = 100;
constexpr seconds silence_at_exit{2}; // then nothing more is expected of a child at its gate
constexpr seconds grace{5};           // from the first signal to SIGKILL

volatile std::sig_atomic_t received = 0;
void note_signal(int signal) {
    received = signal;
}

class descriptor {
public:
    explicit descriptor(int fd = -1) : fd_(fd) {}
    ~descriptor() { close(); }
    descriptor(const descriptor &) = delete;
    descriptor & operator=(const descriptor &) = delete;
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    int get() const { return fd_; }

private:
    int fd_;
};

std::vector<char *> pointers(std::vector<std::string> & texts) {
    std::vector<char *> all;
    for (auto & text : texts)
        all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

// Everything that the child needs, made before the fork: between fork and exec nothing may be allocated.
struct prepared {
    explicit prepared(const child_call & call, int gate) : argv(call.argv), environment(call.environment), gate(gate) {
        if (gate >= 0) {
            std::string preload = "LD_PRELOAD=" + call.exit_gate;
            for (size_t i = environment.size(); i-- > 0;) {
                if (environment[i].rfind("LD_PRELOAD=", 0) != 0) continue;
                preload += ":" + environment[i].substr(std::strlen("LD_PRELOAD="));
                environment.erase(environment.begin() + long(i));
            }
            environment.push_back(preload);
            environment.push_back("RKNPU_EXIT_GATE=" + std::string(24, '\0'));
        }
        arguments = pointers(argv);
        variables = pointers(environment);
    }

    [[noreturn]] void become(int output, pid_t parent) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) _exit(127);
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        if (gate >= 0) {
            fcntl(gate, F_SETFD, 0);
            std::snprintf(variables[variables.size() - 2], 16 + 24, "RKNPU_EXIT_GATE=%d:%d", int(getpid()), gate);
        }
        execve(arguments[0], arguments.data(), variables.data());
        dprintf(STDERR_FILENO, "cannot start %s: %s\n", arguments[0], std::strerror(errno));
        _exit(127);
    }

    std::vector<std::string> argv, environment;
    std::vector<char *> arguments, variables;
    int gate;
};

// The parent's side: reads, watches for Ctrl-C, opens the gate, collects the end.
class watcher {
public:
    watcher(const child_call & call, std::FILE * log, pid_t pid, int output, descriptor & gate)
        : call_(call), log_(log), pid_(pid), output_(output), gate_(gate) {}

    child_end watch() {
        int how = 0;
        for (;;) {
            pollfd inputs[] = {{open_ ? output_ : -1, POLLIN, 0}, {at_gate_ ? -1 : gate_.get(), POLLIN, 0}};
            poll(inputs, 2, poll_ms);
            // A grandchild may hold the output open, so the child's end counts, not the end of the file.
            const bool ended = waitpid(pid_, &how, WNOHANG) == pid_;
            read_all();
            if (ended) break;
            if (inputs[1].revents) arrive_at_gate();
            if (at_gate_ &&
                (steady_clock::now() - last_output_ > silence_at_exit || (call_.has_said_all && call_.has_said_all())))
                gate_.close();
            if (interrupted() || (call_.is_in_vain && call_.is_in_vain())) stop();
        }
        child_end end;
        if (WIFEXITED(how)) end.exit_code = WEXITSTATUS(how);
        if (WIFSIGNALED(how)) end.signal = WTERMSIG(how);
        return end;
    }

private:
    void read_all() {
        char bytes[4096];
        ssize_t n;
        while ((n = read(output_, bytes, sizeof(bytes))) > 0) {
            std::fwrite(bytes, 1, size_t(n), log_);
            std::fflush(log_);
            if (call_.on_output) call_.on_output({bytes, size_t(n)});
            last_output_ = steady_clock::now();
        }
        if (n == 0) open_ = false;
    }

    void arrive_at_gate() {
        at_gate_ = true;
        last_output_ = steady_clock::now();
    }

    void stop() {
        gate_.close();
        const auto now = steady_clock::now();
        if (!asked_) {
            kill(pid_, SIGINT);
            asked_ = true;
            asked_at_ = now;
        } else if (now - asked_at_ > grace) {
            kill(pid_, SIGKILL);
        }
    }

    const child_call & call_;
    std::FILE * log_;
    pid_t pid_;
    int output_;
    descriptor & gate_;
    bool open_ = true, at_gate_ = false, asked_ = false;
    steady_clock::time_point last_output_ = steady_clock::now(), asked_at_;
};

status out_of(const char * what) {
    return status(errc::out_of_memory,
                  std::string("cannot make ") + what + " for a child process: " + std::strerror(errno));
}

} // namespace

void watch_interrupts() {
    struct sigaction action {};
    action.sa_handler = note_signal;
    sigemptyset(&action.sa_mask);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        sigaction(signal, &action, nullptr);
}

int interrupted() {
    return received;
}

status interruption() {
    return status(errc::timeout, "");
}

result<child_end> run_child(const child_call & call) {
    std::FILE * log = std::fopen(call.log_path.c_str(), "we");
    if (!log) return status(errc::permission, "cannot write the log '" + call.log_path + "': " + std::strerror(errno));
    const std::unique_ptr<std::FILE, int (*)(std::FILE *)> closed_at_end(log, std::fclose);

    int ends[2], sockets[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return out_of("a pipe");
    descriptor output(ends[0]), child_output(ends[1]);
    fcntl(output.get(), F_SETFL, O_NONBLOCK);
    if (!call.exit_gate.empty() && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        return out_of("a socket");
    descriptor gate(sockets[0]), child_gate(sockets[1]);

    prepared child(call, child_gate.get());
    const pid_t self = getpid(), pid = fork();
    if (pid < 0) return out_of("room");
    if (pid == 0) child.become(child_output.get(), self);
    child_output.close();
    child_gate.close();
    return watcher(call, log, pid, output.get(), gate).watch();
}

} // namespace rknpu
