// Everything that rknpu predict says about one model on one board, and its three forms: text, JSON, a page.
//
// Invariant: a prediction holds figures only, all modelled; the forms add words, no arithmetic beyond units.
#pragma once

#include "files.h"
#include "predict/forecast.h"

#include <memory>
#include <string>
#include <vector>

namespace rknpu {

constexpr size_t prompt_tokens = 512; // of the summary, as llama-bench does

// One format: what GGML_RKNPU_FORMAT would say, or the CPU alone.
struct format_outlook {
    std::string name;
    time_split prompt, decode;                   // decode: behind an empty context
    double prompt_joules = 0, decode_joules = 0; // per token, above idle
    model_bytes bytes;
    uint64_t ram_bytes = 0;
    bool fits = false;

    double prompt_s() const { return prompt_tokens * 1e6 / prompt.total(); } // tokens/s
    double decode_s() const { return 1e6 / decode.total(); }
};

struct curve_point {
    size_t tokens;
    double prompt_s, first_token_s, decode_s; // tokens/s, seconds, tokens/s behind that prompt
};

// How much faster it would be if one thing cost nothing, or were done otherwise.
struct lever {
    std::string name;
    double decode_gain, prompt_gain; // in parts of the speed: 0.2 is 20 % faster
};

struct prediction {
    std::string model, origin; // in words; origin: where the configuration comes from, and a warning if from memory
    bool from_memory = false;
    const board * where = nullptr;
    size_t context = 0;
    std::vector<format_outlook> formats; // the chosen one first, the CPU alone last
    // Of the chosen format:
    uint64_t kv_bytes = 0, work_bytes = 0, ram_limit = 0;
    size_t n_refused = 0;
    std::vector<curve_point> curve;
    std::vector<lever> levers; // most for decoding first

    const format_outlook & chosen() const { return formats.front(); }
};

// A model, read or made, and what to call it.
struct predicted_model {
    std::string title, origin;
    bool from_memory;
    gguf_model model;
};

// formats: texts of policies, the first is looked at more closely. status: invalid_argument.
result<prediction> predict_model(const predicted_model & subject, const board & where,
                                 const std::vector<std::string> & formats, size_t context);

std::string prediction_text(const prediction & p);
json prediction_json(const prediction & p);
std::string prediction_page(const prediction & p);

// Energy as the tables show it, in mJ.
std::string millijoules(double joules);

// The verdict in words: whether it fits, and how.
std::string fit_in_words(const prediction & p);

} // namespace rknpu
