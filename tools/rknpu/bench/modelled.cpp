// See modelled.h.
#include "bench/modelled.h"

#include "plan/policy-file.h"
#include "predict/forecast.h"

#include <memory>

namespace rknpu {

namespace {

// Of prefill the whole prompt, of decoding a token in the middle; behind the depth that was asked for.
double modelled_us(const forecast & f, const bench_test & t) {
    const size_t depth = size_t(t.n_depth), n_prompt = size_t(t.n_prompt), n_gen = size_t(t.n_gen);
    if (n_gen) return double(n_gen) * f.decode(depth + n_gen / 2).total();
    if (!depth) return f.prompt(n_prompt).total();
    return f.prompt(depth + n_prompt).total() - f.prompt(depth).total();
}

} // namespace

void add_modelled(bench_report & r) {
    const auto skip = [&](const status & why) { r.notes.push_back("not modelled: " + why.message()); };
    const auto model = read_gguf_model(r.wishes.model);
    if (!model.ok()) return skip(model.status());
    const auto where = find_board(r.wishes.board);
    if (!where.ok()) return skip(where.status());
    const auto soc = find_chip(where.value()->chip_name);
    if (!soc.ok()) return skip(soc.status());
    const auto formats = read_policy(r.format);
    if (!formats.ok()) return skip(formats.status());
    for (bench_phase & p : r.phases) {
        const size_t context = size_t(p.test.n_depth + p.test.tokens());
        const auto f =
            r.wishes.on_cpu
                ? std::make_unique<forecast>(model.value(), *where.value(), *soc.value(), forecast::cpu_only(), context)
                : std::make_unique<forecast>(model.value(), *where.value(), *soc.value(), formats.value(), context);
        const double us = modelled_us(*f, p.test);
        if (us > 0) p.modelled_tokens_s = p.test.tokens() / us * 1e6;
    }
    r.modelled_for = where.value()->title;
}

} // namespace rknpu
