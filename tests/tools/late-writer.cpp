// A program that ends while a thread of it still has something to say, as llama.cpp's do: the thread says it after as
// many milliseconds as the first argument, and main does not wait for it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

int main(int, char ** argv) {
    const int delay_ms = std::atoi(argv[1]);
    std::thread([delay_ms] {
        std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
        std::puts("the last words");
        std::fflush(stdout);
    }).detach();
    std::puts("the first words");
    return 3;
}
