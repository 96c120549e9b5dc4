// A child's output is whole, its end is told, and nothing that it leaves behind is waited for.
#include "child.h"

#include "files.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <unistd.h>

extern "C" char ** environ;

namespace rknpu {
namespace {

struct outcome {
    child_end end;
    std::string output;
    double seconds;
};

outcome run(std::vector<std::string> argv, const std::string & gate = "", const char * last_words = "") {
    const std::string log = testing::TempDir() + "/child-" + std::to_string(getpid()) + ".log";
    outcome seen;
    child_call call{std::move(argv), {}, log, gate, {}, {}};
    for (char ** variable = environ; *variable; variable++)
        call.environment.push_back(*variable);
    call.on_output = [&](std::string_view bytes) { seen.output += bytes; };
    call.has_said_all = [&] { return *last_words && seen.output.find(last_words) != std::string::npos; };
    const auto started = std::chrono::steady_clock::now();
    const auto end = run_child(call);
    seen.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    EXPECT_TRUE(end.ok()) << end.status().message();
    if (end.ok()) seen.end = end.value();
    EXPECT_EQ(read_file(log).value(), seen.output);
    std::remove(log.c_str());
    return seen;
}

TEST(child, exit_code_and_both_streams) {
    const outcome seen = run({"/bin/sh", "-c", "echo out; echo err >&2; exit 7"});
    EXPECT_EQ(seen.end.exit_code, 7);
    EXPECT_EQ(seen.end.signal, 0);
    EXPECT_EQ(seen.output, "out\nerr\n");
}

TEST(child, the_signal_that_ended_it) {
    EXPECT_EQ(run({"/bin/sh", "-c", "kill -KILL $$"}).end.signal, 9);
}

TEST(child, a_program_that_cannot_be_started) {
    const outcome seen = run({"/no/such/program"});
    EXPECT_EQ(seen.end.exit_code, 127);
    EXPECT_EQ(seen.output, "cannot start /no/such/program: No such file or directory\n");
}

TEST(child, a_grandchild_that_keeps_the_output_open_is_not_waited_for) {
    const outcome seen = run({"/bin/sh", "-c", "sleep 20 & echo done"});
    EXPECT_EQ(seen.output, "done\n");
    EXPECT_LT(seen.seconds, 10);
}

TEST(child, much_output_is_whole) {
    const outcome seen = run({"/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done"});
    EXPECT_EQ(seen.output.size(), 220000u);
}

TEST(child, last_words_are_lost_without_a_gate) { // or the next test would show nothing
    const outcome seen = run({LATE_WRITER, "500"});
    EXPECT_EQ(seen.end.exit_code, 3);
    EXPECT_EQ(seen.output, "the first words\n");
}

TEST(child, the_gate_waits_for_the_last_words) {
    const outcome seen = run({LATE_WRITER, "500"}, EXIT_GATE, "the last words");
    EXPECT_EQ(seen.end.exit_code, 3);
    EXPECT_EQ(seen.output, "the first words\nthe last words\n");
}

TEST(child, the_gate_opens_after_silence) {
    const outcome seen = run({LATE_WRITER, "30000"}, EXIT_GATE, "the last words");
    EXPECT_EQ(seen.end.exit_code, 3);
    EXPECT_LT(seen.seconds, 15);
}

TEST(child, a_child_of_the_child_passes_the_gate) {
    const outcome seen = run({"/bin/sh", "-c", "/bin/echo one; /bin/echo two"}, EXIT_GATE, "two");
    EXPECT_EQ(seen.output, "one\ntwo\n");
    EXPECT_LT(seen.seconds, 10);
}

} // namespace
} // namespace rknpu
