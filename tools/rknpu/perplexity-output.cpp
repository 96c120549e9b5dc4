// See perplexity-output.h.
#include "perplexity-output.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace rknpu {

namespace {

#define PLUS_MINUS "\xc2\xb1"
#define DELTA_P "\xce\x94p"

using field = double perplexity_statistics::*;

// One row per figure: the words before its colon, our name for it, where it goes.
struct row {
    const char * words;
    const char * name;
    field value;
    field uncertainty; // nullptr: it has none
};
using s = perplexity_statistics;
constexpr row rows[] = {
    {"Mean PPL(Q)", "ppl", &s::ppl, &s::ppl_uncertainty},
    {"Mean PPL(base)", "base_ppl", &s::base_ppl, &s::base_ppl_uncertainty},
    {"Mean ln(PPL(Q)/PPL(base))", "log_ppl_ratio", &s::log_ppl_ratio, &s::log_ppl_ratio_uncertainty},
    {"Mean    KLD", "mean_kld", &s::mean_kld, &s::mean_kld_uncertainty},
    {"Maximum KLD", "max_kld", &s::max_kld, nullptr},
    {"99.9%   KLD", "kld_999", &s::kld_999, nullptr},
    {"99.0%   KLD", "kld_99", &s::kld_99, nullptr},
    {"95.0%   KLD", "kld_95", &s::kld_95, nullptr},
    {"90.0%   KLD", "kld_90", &s::kld_90, nullptr},
    {"Median  KLD", "median_kld", &s::median_kld, nullptr},
    {"RMS " DELTA_P, "rms_dp", &s::rms_dp, &s::rms_dp_uncertainty},
    {"Same top p", "same_top", &s::same_top, &s::same_top_uncertainty},
};

void trim(std::string & text) {
    text.erase(text.find_last_not_of(" \r\t") + 1);
    text.erase(0, text.find_first_not_of(" \t"));
}

void add_once(std::vector<std::string> & lines, const std::string & line) {
    constexpr size_t most = 20;
    if (lines.size() < most && std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
}

// Behind the time and the level that llama.cpp's log puts before a line: "0.01.396.753 E perplexity: ...".
std::string without_prefix(const std::string & line) {
    const size_t words = line.find_first_not_of("0123456789.");
    if (words < 5 || words == std::string::npos || line.size() < words + 3 || line[words] != ' ' ||
        line[words + 2] != ' ')
        return line;
    return line.substr(words + 3);
}

bool is_error(const std::string & line) {
    for (const char * words :
         {"error", "failed", "invalid", "unable to", "inconsistent", "cannot start", "out of memory"})
        if (line.find(words) != std::string::npos) return true;
    return false;
}

} // namespace

json to_json(const perplexity_statistics & statistics) {
    json all = json::object();
    const auto put = [&](const std::string & name, double value) {
        all[name] = std::isfinite(value) ? json(value) : json();
    };
    for (const row & r : rows) {
        put(r.name, statistics.*r.value);
        if (r.uncertainty) put(std::string(r.name) + "_uncertainty", statistics.*r.uncertainty);
    }
    return all;
}

perplexity_statistics statistics_from(const json & stored) {
    perplexity_statistics statistics;
    const auto get = [&](const std::string & name, field f) {
        if (stored.contains(name) && stored[name].is_number()) statistics.*f = stored[name].get<double>();
    };
    for (const row & r : rows) {
        get(r.name, r.value);
        if (r.uncertainty) get(std::string(r.name) + "_uncertainty", r.uncertainty);
    }
    return statistics;
}

bool perplexity_output::has_all_statistics() const {
    return std::none_of(std::begin(rows), std::end(rows),
                        [&](const row & r) { return std::isnan(statistics_.*r.value); });
}

std::string perplexity_output::cause() const {
    if (!error_lines_.empty()) return error_lines_.front() + "; ";
    return plugin_lines_.empty() ? "" : plugin_lines_.back() + "; ";
}

void perplexity_output::feed(std::string_view bytes) {
    for (const char c : bytes) {
        if (lines_.add(c))
            read_line(lines_.line());
        else if (c == ',')
            read_running_ppl(lines_.line());
    }
}

// "[1]17.7728,[2]18.8782," grows on one line.
void perplexity_output::read_running_ppl(const std::string & line) {
    const size_t bracket = line.rfind('[');
    int chunk = 0, read = 0;
    double ppl = NAN;
    if (bracket == std::string::npos || std::sscanf(line.c_str() + bracket, "[%d]%lf,%n", &chunk, &ppl, &read) != 2 ||
        size_t(read) != line.size() - bracket)
        return;
    done_ = chunk;
    running_ppl_ = ppl;
}

void perplexity_output::read_line(const std::string & whole) {
    std::string line = whole;
    trim(line);
    int chunk = 0, n = 0;
    double ppl = NAN, kld = NAN, ignored = NAN;
    if (std::sscanf(line.c_str(), "%d %lf " PLUS_MINUS " %lf %lf " PLUS_MINUS " %lf %lf", &chunk, &ppl, &ignored,
                    &ignored, &ignored, &kld) == 6) {
        done_ = chunk;
        running_ppl_ = ppl;
        running_kld_ = kld;
        return;
    }
    const auto after = [&](const char * words) {
        const size_t at = line.find(words);
        return at == std::string::npos ? nullptr : line.c_str() + at + std::char_traits<char>::length(words);
    };
    if (const char * rest = after("perplexity over ")) std::sscanf(rest, "%d chunks, n_ctx=%d", &chunks_, &context_);
    if (const char * rest = after("computing over ")) std::sscanf(rest, "%d chunks, n_ctx=%d", &chunks_, &context_);
    if (const char * rest = after("you need at least ")) tokens_needed_ = std::atoi(rest);
    if (const char * rest = after("tokenizes to only ")) tokens_there_ = std::atoi(rest);
    if (const char * rest = after("Final estimate: PPL ="))
        std::sscanf(rest, "%lf +/- %lf", &statistics_.ppl, &statistics_.ppl_uncertainty);
    const size_t colon = line.find(':');
    std::string words = line.substr(0, colon);
    trim(words);
    for (const row & r : rows) {
        double value = NAN, uncertainty = NAN;
        if (colon == std::string::npos || words != r.words) continue;
        if (std::sscanf(line.c_str() + colon, ": %lf%n", &value, &n) != 1) continue;
        statistics_.*r.value = value;
        if (r.uncertainty && std::sscanf(line.c_str() + colon + n, " " PLUS_MINUS " %lf", &uncertainty) == 1)
            statistics_.*r.uncertainty = uncertainty;
    }
    const size_t ours = line.find("rknpu: ");
    if (ours != std::string::npos)
        add_once(plugin_lines_, line.substr(ours + 7));
    else if (is_error(line))
        add_once(error_lines_, without_prefix(line));
}

} // namespace rknpu
