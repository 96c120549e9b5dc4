// What stock llama-bench says: its tests as JSON lines (-o jsonl), and with --progress when each repetition begins.
//
// Invariant: a test is one that llama-bench has finished; its stretch reaches from its first repetition to its line.
#pragma once

#include "bench/series.h"
#include "files.h"

#include <string>
#include <string_view>
#include <vector>

namespace rknpu {

struct bench_test {
    int n_prompt = 0, n_gen = 0, n_depth = 0;
    int repetitions = 0;
    double tokens_s = 0, tokens_s_stddev = 0; // llama-bench's own
    double seconds = 0;                       // of all repetitions, by llama-bench's clock
    stretch when;                             // by the reader's
    json line;                                // all of it

    int tokens() const { return n_prompt + n_gen; } // of one repetition
};

class bench_output {
public:
    // now: seconds, when the bytes arrived.
    void feed(std::string_view bytes, double now);
    void finish(double now); // what came without a newline at the end
    const std::vector<bench_test> & tests() const { return tests_; }
    const std::string & error() const { return error_; } // its first line of an error
    std::string doing() const { return doing_; }         // e.g. "prompt run 2/5"

private:
    void take(const std::string & line, double now);
    void take_test(const json & line, double now);

    std::string rest_;
    std::vector<bench_test> tests_;
    std::string error_, doing_;
    double began_ = -1; // first repetition of the test under way
};

} // namespace rknpu
