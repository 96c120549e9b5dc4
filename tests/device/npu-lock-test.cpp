// The machine-wide lock between real processes: exclusion, fairness, death of a holder.
#include "device/npu-lock.h"

#include "base/log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace rknpu {
namespace {

struct shared_state {
    std::atomic<int> inside, worst, turns[2], ready;
};

struct npu_lock_test : testing::Test {
    std::string path = testing::TempDir() + "rknpu-lock-" + std::to_string(getpid());
    shared_state * shared = static_cast<shared_state *>(
        mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    void TearDown() override {
        munmap(shared, sizeof(*shared));
        unlink(path.c_str());
    }
    template <class F> pid_t child(F body) {
        const pid_t pid = fork();
        if (pid == 0) {
            npu_lock lock(path);
            if (!lock.open().ok()) _exit(9);
            body(lock);
            _exit(0);
        }
        return pid;
    }
};

void stay_inside(shared_state & s) {
    const int now = ++s.inside;
    if (now > s.worst) s.worst = now;
    usleep(500);
    s.inside--;
}

TEST_F(npu_lock_test, one_process_at_a_time_and_both_move) {
    const auto greedy = [&](int who) {
        return child([this, who](npu_lock & lock) {
            shared->ready++;
            while (shared->ready < 2)
                usleep(100);
            // Comes back at once after each turn, as a program that generates text does.
            while (shared->turns[0] + shared->turns[1] < 200) {
                lock.lock();
                stay_inside(*shared);
                shared->turns[who]++;
                lock.unlock();
            }
        });
    };
    const pid_t a = greedy(0), b = greedy(1);
    int status_a, status_b;
    waitpid(a, &status_a, 0);
    waitpid(b, &status_b, 0);
    EXPECT_EQ(status_a, 0);
    EXPECT_EQ(status_b, 0);
    EXPECT_EQ(shared->worst, 1);
    EXPECT_GE(shared->turns[0], 50);
    EXPECT_GE(shared->turns[1], 50);
}

TEST_F(npu_lock_test, a_killed_holder_lets_go) {
    const pid_t holder = child([this](npu_lock & lock) {
        lock.lock();
        shared->ready = 1;
        for (;;)
            pause();
    });
    while (shared->ready == 0)
        usleep(100);
    kill(holder, SIGKILL);
    npu_lock lock(path);
    ASSERT_TRUE(lock.open().ok());
    const auto start = std::chrono::steady_clock::now();
    lock.lock();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    lock.unlock();
    waitpid(holder, nullptr, 0);
}

TEST_F(npu_lock_test, threads_of_one_process_exclude_each_other_too) {
    npu_lock lock(path);
    ASSERT_TRUE(lock.open().ok());
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
        threads.emplace_back([&] {
            for (int j = 0; j < 20; j++) {
                lock.lock();
                stay_inside(*shared);
                lock.unlock();
            }
        });
    }
    for (auto & t : threads)
        t.join();
    EXPECT_EQ(shared->worst, 1);
}

std::vector<std::string> lock_lines;

TEST_F(npu_lock_test, who_is_waited_for_is_said_once) {
    const pid_t holder = child([this](npu_lock & lock) {
        lock.lock();
        shared->ready = 1;
        usleep(1500000);
        lock.unlock();
    });
    while (shared->ready == 0)
        usleep(100);
    npu_lock lock(path);
    ASSERT_TRUE(lock.open().ok());
    lock_lines.clear();
    set_log_sink([](log_level level, const char * line) {
        if (level == log_level::warn) lock_lines.push_back(line);
    });
    lock.lock();
    lock.unlock();
    set_log_sink(nullptr);
    waitpid(holder, nullptr, 0);
    ASSERT_EQ(lock_lines.size(), 1u);
    EXPECT_NE(lock_lines[0].find("waiting for process " + std::to_string(holder)), std::string::npos) << lock_lines[0];
}

TEST_F(npu_lock_test, files_of_others_are_left_alone) {
    { std::ofstream(path) << "my diary"; }
    chmod(path.c_str(), 0640);
    npu_lock lock(path);
    EXPECT_EQ(lock.open().code(), errc::invalid_argument);
    struct stat info;
    stat(path.c_str(), &info);
    EXPECT_EQ(info.st_mode & 0777, mode_t(0640));
    const std::string link = path + "-link";
    ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
    npu_lock through(link);
    EXPECT_EQ(through.open().code(), errc::permission);
    unlink(link.c_str());
    std::string text;
    std::getline(std::ifstream(path), text);
    EXPECT_EQ(text, "my diary");
}

TEST_F(npu_lock_test, an_unusable_file_is_explained) {
    npu_lock lock("/nowhere/at/all.lock");
    const status s = lock.open();
    EXPECT_EQ(s.code(), errc::permission);
    EXPECT_NE(s.message().find("GGML_RKNPU_LOCK"), std::string::npos);
    npu_lock off("off");
    EXPECT_TRUE(off.open().ok());
    off.lock();
    off.unlock();
}

} // namespace
} // namespace rknpu
