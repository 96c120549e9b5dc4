// One run of stock llama-perplexity, with its progress on stderr and its failures in words.
//
// Invariant: a result is one that llama.cpp has said completely; everything else is a status with the cure.
#pragma once

#include "perplexity-output.h"

#include <string>
#include <vector>

namespace rknpu {

enum class wanted { final_ppl, all_statistics };

struct perplexity_call {
    std::string label; // for the user
    std::string program;
    std::string exit_gate;
    std::string model, text; // for messages; the arguments name them, too
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string log_path;
    wanted what = wanted::all_statistics;
};

struct perplexity_result {
    perplexity_output output;
    double seconds = 0;
};

// status: timeout with an empty message after Ctrl-C.
result<perplexity_result> run_perplexity(const perplexity_call & call);

// How far a run is: one line that is written over on a terminal, a line for each tenth elsewhere.
class progress_line {
public:
    explicit progress_line(std::string label);
    ~progress_line();
    void update(const perplexity_output & output);
    double seconds() const;

private:
    std::string label_;
    bool terminal_;
    bool shown_ = false;
    int shown_done_ = 0;
    double started_;
};

} // namespace rknpu
