// A library that a child process preloads: its exit waits until the reader of its output has all of it.
//
// llama.cpp v0.5.0 writes its log from a thread that it does not wait for at exit: on a busy machine the statistics at
// the end of a run were lost every second time (measured here, 5 of 10), and a run may take hours. Destructors of
// libraries run while that thread still lives, so this one says that the process is about to end, and waits for the
// other side to let it go.
// Invariant: only the process that the variable names waits, never its children, and never for longer than a minute.
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <unistd.h>

namespace {

__attribute__((destructor)) void wait_for_reader() {
    const char * gate = std::getenv("RKNPU_EXIT_GATE");
    int pid = 0, fd = -1;
    if (!gate || std::sscanf(gate, "%d:%d", &pid, &fd) != 2 || pid != int(getpid())) return;
    const char byte = 1;
    if (write(fd, &byte, 1) != 1) return;
    pollfd answer{fd, POLLIN, 0};
    poll(&answer, 1, 60000);
}

} // namespace
