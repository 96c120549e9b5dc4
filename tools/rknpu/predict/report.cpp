// A prediction as text and as JSON.
#include "base/log.h"
#include "predict/prediction.h"

namespace rknpu {

namespace {

constexpr double mib = 1 << 20;

std::string percent(double part) {
    return format_text("%+.0f %%", 100 * part);
}

std::string formats_table(const prediction & p) {
    std::string text = format_text("%-22s %12s %12s %12s %12s %9s %6s\n", "format", "prompt tok/s", "decode tok/s",
                                   "mJ/token in", "mJ/token out", "RAM MiB", "fits");
    for (const format_outlook & o : p.formats)
        text += format_text("%-22s %12.1f %12.2f %12s %12s %9.0f %6s\n", o.name.c_str(), o.prompt_s(), o.decode_s(),
                            millijoules(o.prompt_joules).c_str(), millijoules(o.decode_joules).c_str(),
                            double(o.ram_bytes) / mib, o.fits ? "yes" : "no");
    return text;
}

std::string split_table(const format_outlook & o) {
    std::string text = format_text("%-42s %10s %6s %10s %6s\n", "where the time goes, ms", "decode", "", "prompt", "");
    for (size_t i = 0; i < n_parts; i++) {
        const part which = part(i);
        text += format_text("%-42s %10.2f %4.0f %% %10.1f %4.0f %%\n", part_meaning(which), o.decode[which] * 1e-3,
                            100 * o.decode[which] / o.decode.total(), o.prompt[which] * 1e-3,
                            100 * o.prompt[which] / o.prompt.total());
    }
    return text +
           format_text("%-42s %10.2f %6s %10.1f\n", "together", o.decode.total() * 1e-3, "", o.prompt.total() * 1e-3);
}

json split_json(const time_split & t) {
    json parts = json::object();
    for (size_t i = 0; i < n_parts; i++)
        parts[part_name(part(i))] = t[part(i)];
    return parts;
}

} // namespace

// Two digits, of small models' too: more would say more than the model knows.
std::string millijoules(double joules) {
    const double mj = joules * 1e3;
    return format_text(mj < 0.1 ? "%.3f" : mj < 1 ? "%.2f" : mj < 10 ? "%.1f" : "%.0f", mj);
}

std::string prediction_text(const prediction & p) {
    std::string text = format_text("%s on %s, a context of %zu tokens\n", p.model.c_str(), p.where->title, p.context);
    text += "configuration: " + p.origin + "\n";
    text += "every figure is modelled; nothing here was measured (docs/predict.md)\n\n";
    text += fit_in_words(p) + "\n\n";
    text += formats_table(p);
    text +=
        format_text("prompt: %zu tokens; decode: behind an empty context; mJ: above idle, good to a factor of two\n\n",
                    prompt_tokens);
    text += "with " + p.chosen().name + ":\n" + split_table(p.chosen()) + "\n";
    text += format_text("%-42s %10s %10s\n", "what would help most (bounds)", "decode", "prompt");
    for (const lever & l : p.levers)
        text += format_text("%-42s %10s %10s\n", l.name.c_str(), percent(l.decode_gain).c_str(),
                            percent(l.prompt_gain).c_str());
    text += format_text("\n%-14s %12s %16s %20s\n", "prompt, tokens", "prompt tok/s", "s to first token",
                        "decode tok/s after it");
    for (const curve_point & c : p.curve)
        text += format_text("%-14zu %12.1f %16.3f %20.2f\n", c.tokens, c.prompt_s, c.first_token_s, c.decode_s);
    return text;
}

json prediction_json(const prediction & p) {
    json formats = json::array(), curve = json::array(), levers = json::array();
    for (const format_outlook & o : p.formats) {
        json domains = json::object();
        for (const auto & [domain, bytes] : o.bytes.domains)
            domains[std::to_string(domain)] = bytes;
        formats.push_back({{"format", o.name},
                           {"prompt_tokens_s", o.prompt_s()},
                           {"decode_tokens_s", o.decode_s()},
                           {"prompt_joules_token", o.prompt_joules},
                           {"decode_joules_token", o.decode_joules},
                           {"ram_bytes", o.ram_bytes},
                           {"npu_bytes", o.bytes.npu_memory()},
                           {"cpu_bytes", o.bytes.cpu_source},
                           {"domain_bytes", domains},
                           {"fits", o.fits},
                           {"decode_us", split_json(o.decode)},
                           {"prompt_us", split_json(o.prompt)}});
    }
    for (const curve_point & c : p.curve)
        curve.push_back({{"tokens", c.tokens},
                         {"prompt_tokens_s", c.prompt_s},
                         {"first_token_s", c.first_token_s},
                         {"decode_tokens_s", c.decode_s}});
    for (const lever & l : p.levers)
        levers.push_back({{"if", l.name}, {"decode_gain", l.decode_gain}, {"prompt_gain", l.prompt_gain}});
    return {{"figures", "modelled"},
            {"model", p.model},
            {"configuration", p.origin},
            {"configuration_from_memory", p.from_memory},
            {"board", p.where->name},
            {"context", p.context},
            {"prompt", prompt_tokens},
            {"fits", p.chosen().fits},
            {"ram_limit_bytes", p.ram_limit},
            {"kv_bytes", p.kv_bytes},
            {"work_bytes", p.work_bytes},
            {"formats", formats},
            {"curve", curve},
            {"levers", levers}};
}

} // namespace rknpu
