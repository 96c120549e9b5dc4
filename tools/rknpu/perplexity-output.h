// What llama-perplexity says: how far it is, its final statistics, and what went wrong.
//
// Invariant: figures are llama.cpp's own, as it prints them; nothing is computed from them here.
#pragma once

#include "files.h"
#include "line-reader.h"

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace rknpu {

// NaN: not said. A run against a base says all of them, the run that makes the base only ppl.
struct perplexity_statistics {
    double ppl = NAN, ppl_uncertainty = NAN;
    double base_ppl = NAN, base_ppl_uncertainty = NAN;
    double log_ppl_ratio = NAN, log_ppl_ratio_uncertainty = NAN; // ln(PPL / base PPL)
    double mean_kld = NAN, mean_kld_uncertainty = NAN;
    double max_kld = NAN, kld_999 = NAN, kld_99 = NAN, kld_95 = NAN, kld_90 = NAN, median_kld = NAN;
    double rms_dp = NAN, rms_dp_uncertainty = NAN;     // percent, of the right token's probability
    double same_top = NAN, same_top_uncertainty = NAN; // percent
};

json to_json(const perplexity_statistics & statistics);
perplexity_statistics statistics_from(const json & stored);

class perplexity_output {
public:
    // Any piece of the output, lines or not.
    void feed(std::string_view bytes);

    int chunks() const { return chunks_; } // in all, 0 until it is said
    int done() const { return done_; }
    int context() const { return context_; }
    double running_ppl() const { return running_ppl_; }
    double running_kld() const { return running_kld_; } // NaN without a base
    const perplexity_statistics & statistics() const { return statistics_; }
    bool has_final_ppl() const { return !std::isnan(statistics_.ppl); }
    bool has_all_statistics() const; // of a run against a base

    int tokens_needed() const { return tokens_needed_; } // the text is too short: > 0
    int tokens_there() const { return tokens_there_; }
    // Lines of the plugin ("rknpu: ..."), and of llama.cpp that speak of an error, each once.
    const std::vector<std::string> & plugin_lines() const { return plugin_lines_; }
    const std::vector<std::string> & error_lines() const { return error_lines_; }
    // What a failure is most likely due to, and "; ": the first error, for those after it are its consequences; else
    // the last that the plugin said; else nothing.
    std::string cause() const;

private:
    void read_line(const std::string & line);
    void read_running_ppl(const std::string & line);

    line_reader lines_;
    int chunks_ = 0, done_ = 0, context_ = 0, tokens_needed_ = 0, tokens_there_ = 0;
    double running_ppl_ = NAN, running_kld_ = NAN;
    perplexity_statistics statistics_;
    std::vector<std::string> plugin_lines_, error_lines_;
};

} // namespace rknpu
