// See policy.h.
#include "plan/policy.h"

#include "base/log.h"
#include "base/near-name.h"
#include "plan/plan.h"

#include <algorithm>
#include <cctype>

namespace rknpu {

namespace {

// The presets, in the order of the enumeration. At decode two digits of an activation ride on one pass over the weights
// (cost.h), so w8a16 and w4a8 cost there what w8a8 and w4a4 do: no preset needs w4a4. llama.cpp multiplies the output
// head by the tokens only whose logits are asked for, so the better activation is free there at any time; it is also
// the tensor that gains most from it (docs/formats.md has the figures).
struct preset_row {
    const char * name;
    format usual;
    format few_bits; // for a source of few bits
    format output;   // for the output head
};
constexpr preset_row table[] = {
    {"quality", format::w8a16, format::w8a16, format::w8a16},
    {"balanced", format::w8a8, format::w8a8, format::w8a16},
    {"speed", format::w8a8, format::w4a8, format::w8a16},
};

// A source has few bits if four bits per weight can hold most of what is in it: Q4_0, Q4_K and IQ4_NL have 4.5.
constexpr double few_bits_max = 4.75;

format_choice choose_by_preset(preset p, const weight_facts & facts) {
    const preset_row & row = table[int(p)];
    const std::string name = row.name, role = role_of(facts.name).name;
    if (role == "output" && row.output != row.usual) return {row.output, name + ": the output head"};
    if (facts.source_bits <= few_bits_max && row.few_bits != row.usual)
        return {row.few_bits, name + format_text(": the source has %.3g bits", facts.source_bits)};
    return {row.usual, name};
}

std::string trimmed(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \t\r");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

std::vector<std::string> split(const std::string & text, char separator) {
    std::vector<std::string> parts;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(separator, begin), text.size());
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

std::string without_comment(const std::string & line) {
    for (size_t at = line.find('#'); at != std::string::npos; at = line.find('#', at + 1)) {
        if (at == 0 || std::isspace(static_cast<unsigned char>(line[at - 1]))) return line.substr(0, at);
    }
    return line;
}

std::string listed(const std::vector<std::string> & names) {
    std::string text;
    for (const std::string & name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

} // namespace

const char * preset_name(preset p) {
    return table[int(p)].name;
}

tensor_role role_of(const std::string & tensor_name) {
    tensor_role role{activation_group(tensor_name), -1};
    size_t digits = 0;
    if (role.name.compare(0, 4, "blk.") == 0) {
        for (digits = 4; digits < role.name.size() && std::isdigit(static_cast<unsigned char>(role.name[digits]));)
            digits++;
    }
    if (digits > 4 && digits < 12 && digits < role.name.size() && role.name[digits] == '.') {
        role.layer = std::stoi(role.name.substr(4, digits - 4));
        role.name.erase(0, digits + 1);
    }
    const std::string suffix = ".weight";
    if (role.name.size() > suffix.size() &&
        role.name.compare(role.name.size() - suffix.size(), suffix.size(), suffix) == 0)
        role.name.erase(role.name.size() - suffix.size());
    if (role.name == "token_embd") role.name = "output"; // multiplied only where the output head is tied to it
    return role;
}

bool is_router(const std::string & tensor_name) {
    return role_of(tensor_name).name == "ffn_gate_inp";
}

result<policy::wish> policy::parse_wish(const std::string & name) {
    std::vector<std::string> formats, presets;
    for (const format f : all_formats) {
        if (name == format_name(f)) return wish(f);
        formats.push_back(format_name(f));
    }
    for (const preset p : all_presets) {
        if (name == preset_name(p)) return wish(p);
        presets.push_back(preset_name(p));
    }
    std::vector<std::string> known = formats;
    known.insert(known.end(), presets.begin(), presets.end());
    const std::string near = near_name(known, name, name.size() / 2);
    return status(errc::invalid_argument, "'" + name + "' is neither a format (" + listed(formats) +
                                              ") nor a preset (" + listed(presets) + ")" +
                                              (near.empty() ? "" : "; did you mean " + near + "?"));
}

result<policy> policy::parse_items(const std::vector<std::string> & items) {
    policy parsed;
    std::string default_text;
    for (const std::string & untrimmed : items) {
        const std::string item = trimmed(untrimmed);
        if (item.empty()) continue;
        const size_t equals = item.rfind('='); // no format has one, a regex may
        const auto then = parse_wish(trimmed(equals == std::string::npos ? item : item.substr(equals + 1)));
        if (!then.ok()) return then.status();
        if (equals == std::string::npos) {
            if (!default_text.empty())
                return status(errc::invalid_argument,
                              "both '" + default_text + "' and '" + item +
                                  "' are meant for all tensors; keep one, or write regex=" + item);
            default_text = item;
            parsed.otherwise_ = then.value();
            parsed.spares_head_ = std::holds_alternative<format>(then.value());
            continue;
        }
        const std::string pattern = trimmed(item.substr(0, equals));
        if (pattern.empty())
            return status(errc::invalid_argument, "rule '" + item + "' names no tensors; write regex=format");
        try {
            parsed.rules_.push_back({item, std::regex(pattern, std::regex::ECMAScript), then.value()});
        } catch (const std::regex_error &) {
            return status(errc::invalid_argument,
                          "'" + pattern + "' in rule '" + item +
                              "' is not a regular expression (ECMAScript); check its brackets, and put \\ before a "
                              "character that is meant as such");
        }
    }
    return parsed;
}

result<policy> policy::parse(const std::string & text) {
    return parse_items(split(text, ','));
}

result<policy> policy::parse_lines(const std::string & text) {
    std::vector<std::string> lines = split(text, '\n');
    for (std::string & line : lines)
        line = without_comment(line);
    return parse_items(lines);
}

format_choice policy::choose(const weight_facts & facts) const {
    const auto choose_wish = [&](const wish & then, const std::string & why) -> format_choice {
        if (const preset * p = std::get_if<preset>(&then)) {
            format_choice choice = choose_by_preset(*p, facts);
            if (!why.empty()) choice.reason = why + " (" + choice.reason + ")";
            return choice;
        }
        const format f = std::get<format>(then);
        return {f, why.empty() ? std::string(format_name(f)) + " for all" : why};
    };
    for (const rule & r : rules_) {
        if (std::regex_search(facts.name, r.pattern)) return choose_wish(r.then, "rule " + r.text);
    }
    // Only a rule that names it rounds the router; llama-quantize never does.
    if (is_router(facts.name)) return {format::w16a16, "the router, where rounding would choose other experts"};
    format_choice choice = choose_wish(otherwise_, "");
    // Likewise the output head in 4 bits: llama-quantize writes it in 6 bits into files of 4, and it would make up most
    // of the divergence (docs/formats.md).
    if (spares_head_ && role_of(facts.name).name == "output" && format_element(choice.numeric_format) == element::i4)
        return {format::w8a16, "the output head, which keeps 8 bits unless a rule names it"};
    if (!rules_.empty() && std::holds_alternative<format>(otherwise_))
        choice.reason = std::string(format_name(choice.numeric_format)) + " for the rest";
    return choice;
}

} // namespace rknpu
