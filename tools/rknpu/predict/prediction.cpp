// See prediction.h.
#include "predict/prediction.h"

#include "base/log.h"
#include "plan/policy-file.h"

#include <algorithm>

namespace rknpu {

namespace {

constexpr double gib = double(1 << 30);

format_outlook outlook_of(const forecast & f, const std::string & name) {
    format_outlook o;
    o.name = name;
    o.prompt = f.prompt(prompt_tokens);
    o.decode = f.decode(0);
    o.prompt_joules = f.joules(o.prompt) / prompt_tokens;
    o.decode_joules = f.joules(o.decode);
    o.bytes = f.bytes();
    o.ram_bytes = f.ram_bytes();
    o.fits = f.fits();
    return o;
}

// Powers of two from 32 to the context, and the context.
std::vector<size_t> curve_lengths(size_t context) {
    std::vector<size_t> lengths;
    for (size_t n = 32; n < context; n *= 2)
        lengths.push_back(n);
    lengths.push_back(context);
    return lengths;
}

std::vector<curve_point> curve_of(const forecast & f, size_t context) {
    std::vector<curve_point> points;
    for (const size_t n : curve_lengths(context)) {
        const double prompt_us = f.prompt(n).total(), decode_us = f.decode(n - 1).total();
        // The prompt's last call gives the first token; decoding begins with the second.
        points.push_back({n, double(n) * 1e6 / prompt_us, prompt_us * 1e-6, 1e6 / decode_us});
    }
    return points;
}

double without(const time_split & t, std::initializer_list<part> parts) {
    double rest = t.total();
    for (const part p : parts)
        rest -= t[p];
    return rest > 0 ? t.total() / rest - 1 : 0;
}

std::vector<lever> levers_of(const format_outlook & o, const forecast & with_small_head) {
    const auto free = [&](const char * name, std::initializer_list<part> parts) {
        return lever{name, without(o.decode, parts), without(o.prompt, parts)};
    };
    std::vector<lever> all = {
        free("no fixed cost of NPU runs", {part::npu_start}),
        free("no wake-ups (see GGML_RKNPU_SPIN_US)", {part::wake}),
        free("weights at no cost of bandwidth", {part::npu_stream}),
        free("products at no cost", {part::npu_compute}),
        free("no rotating, quantizing, dequantizing", {part::convert}),
        free("no attention on the CPU", {part::attention}),
        free("no other operators on the CPU", {part::operators}),
        free("no matmuls on the CPU", {part::cpu_matmul}),
    };
    all.push_back({"output head in w4a8 instead", o.decode.total() / with_small_head.decode(0).total() - 1,
                   o.prompt.total() / with_small_head.prompt(prompt_tokens).total() - 1});
    all.erase(std::remove_if(all.begin(), all.end(),
                             [](const lever & l) { return l.decode_gain < 0.005 && l.prompt_gain < 0.005; }),
              all.end());
    std::stable_sort(all.begin(), all.end(),
                     [](const lever & a, const lever & b) { return a.decode_gain > b.decode_gain; });
    return all;
}

} // namespace

result<prediction> predict_model(const predicted_model & subject, const board & where,
                                 const std::vector<std::string> & formats, size_t context) {
    const auto soc = find_chip(where.chip_name);
    if (!soc.ok()) return soc.status();
    prediction p;
    p.model = subject.title;
    p.origin = subject.origin;
    p.from_memory = subject.from_memory;
    p.where = &where;
    p.context = context;
    for (const std::string & text : formats) {
        const auto chosen = read_policy(text);
        if (!chosen.ok()) return chosen.status();
        const forecast f(subject.model, where, *soc.value(), chosen.value(), context);
        p.formats.push_back(outlook_of(f, text));
        if (p.formats.size() > 1) continue;
        p.kv_bytes = f.kv_bytes();
        p.work_bytes = f.work_bytes();
        p.ram_limit = f.ram_limit();
        p.n_refused = f.n_refused();
        p.curve = curve_of(f, context);
        // A rule in front of the others; a policy in a file is asked as it is.
        const auto small = read_policy(text.rfind('@', 0) == 0 ? text : "^(output|token_embd)\\.weight$=w4a8," + text);
        if (!small.ok()) return small.status();
        p.levers = levers_of(p.chosen(), forecast(subject.model, where, *soc.value(), small.value(), context));
    }
    const forecast cpu(subject.model, where, *soc.value(), forecast::cpu_only{}, context);
    p.formats.push_back(outlook_of(cpu, "CPU alone"));
    return p;
}

std::string fit_in_words(const prediction & p) {
    const format_outlook & o = p.chosen();
    std::string text = format_text(
        "%s: %.2f of %.2f GiB of RAM: %.2f GiB of weights for the NPU in %zu domain%s, %.2f for the CPU, %.2f of KV "
        "cache and states (%zu tokens), %.2f to work in",
        o.fits ? "fits" : "does not fit", double(o.ram_bytes) / gib, double(p.ram_limit) / gib,
        double(o.bytes.npu_memory()) / gib, o.bytes.domains.size(), o.bytes.domains.size() == 1 ? "" : "s",
        double(o.bytes.cpu_source) / gib, double(p.kv_bytes) / gib, p.context, double(p.work_bytes) / gib);
    if (p.n_refused) text += format_text("; %zu tensors find no NPU memory", p.n_refused);
    return text;
}

} // namespace rknpu
