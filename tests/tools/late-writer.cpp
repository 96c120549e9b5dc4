// A program that ends while a thread of it still has something to say, as llama.cpp's do: the thread says it after as
// many milliseconds as the first argument, and main does not wait for it.
//
// Without stdio: exit flushes its buffers without locks, and what the thread was just writing came out twice (seen
// under TSan).
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <unistd.h>

namespace {

void say(const char * line) {
    if (write(STDOUT_FILENO, line, std::strlen(line)) < 0) _exit(1);
}

} // namespace

int main(int, char ** argv) {
    const int delay_ms = std::atoi(argv[1]);
    std::thread([delay_ms] {
        std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
        say("the last words\n");
    }).detach();
    say("the first words\n");
    return 3;
}
