// Which numeric format a weight gets: a preset, one format for all, or rules by tensor name.
//
// Invariant: pure. A policy is parsed once and then asked; equal facts get equal answers. The presets are one table
// (policy.cpp), which docs/formats.md explains; the text is that of the setting GGML_RKNPU_FORMAT.
#pragma once

#include "base/status.h"
#include "plan/format.h"

#include <regex>
#include <string>
#include <variant>
#include <vector>

namespace rknpu {

struct weight_facts;

enum class preset {
    quality,  // no measurable loss against the source
    balanced, // the default
    speed,    // few bits where the source has few
};
constexpr preset all_presets[] = {preset::quality, preset::balanced, preset::speed};
const char * preset_name(preset p);

// What a tensor is for, by its name: "blk.7.attn_q.weight" has role attn_qkv and layer 7. Weights that the model
// multiplies with the same activation have the same role; the embedding, where it serves as output head, is "output".
struct tensor_role {
    std::string name;
    int layer; // -1: none
};
tensor_role role_of(const std::string & tensor_name);
bool is_router(const std::string & tensor_name); // chooses the experts of a token

// A format and, in words, why.
struct format_choice {
    format numeric_format;
    std::string reason;
};

class policy {
public:
    policy() = default;                 // the preset balanced
    policy(format f) : otherwise_(f) {} // one format for all but the router

    // Items between commas: `preset` or `format` (for the tensors that no rule matches), or `regex=format` or
    // `regex=preset` (the first that is found in the tensor's name decides). A regex in such a text has no comma.
    // status: invalid_argument.
    static result<policy> parse(const std::string & text);
    // The same with one item per line; from a # at the beginning of a line or after a space on, a line is a comment.
    static result<policy> parse_lines(const std::string & text);

    format_choice choose(const weight_facts & facts) const;

private:
    using wish = std::variant<preset, format>;
    struct rule {
        std::string text;
        std::regex pattern; // searched in the tensor's name
        wish then;
    };
    static result<policy> parse_items(const std::vector<std::string> & items);
    static result<wish> parse_wish(const std::string & name);

    std::vector<rule> rules_;
    wish otherwise_ = preset::balanced;
    bool spares_head_ = false; // a format of 4 bits for all leaves the output head at 8
};

} // namespace rknpu
