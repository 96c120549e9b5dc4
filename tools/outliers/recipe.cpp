// The draws of numpy.random.RandomState that the recipe needs, and the recipe.
#include "recipe.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace rknpu {
namespace {

// std::mt19937 is init_genrand's MT19937, bit for bit; only what is made of its words differs from the std
// distributions.
class random_state {
public:
    explicit random_state(uint32_t seed) : words_(seed) {}

    // Uniform in [0, 1): 53 bits of two words.
    double uniform() {
        const uint32_t high = next() >> 5;
        const uint32_t low = next() >> 6;
        return (high * 67108864.0 + low) / 9007199254740992.0;
    }

    // The first count entries of a permutation of pool.
    std::vector<int> choose(std::vector<int> pool, int count) {
        for (size_t i = pool.size() - 1; i > 0; i--) {
            std::swap(pool[i], pool[below_or_equal(uint32_t(i))]);
        }
        pool.resize(size_t(count));
        return pool;
    }

private:
    uint32_t next() { return uint32_t(words_()); }

    // Uniform in 0..max: words masked to max's bits until one fits.
    uint32_t below_or_equal(uint32_t max) {
        uint32_t mask = max;
        for (int shift = 1; shift < 32; shift *= 2) {
            mask |= mask >> shift;
        }
        uint32_t value = next() & mask;
        while (value > max) {
            value = next() & mask;
        }
        return value;
    }

    std::mt19937 words_;
};

} // namespace

std::vector<outlier_set> choose_outliers(int n_embd, int n_layers, bool has_experts, uint32_t seed) {
    random_state random(seed);
    std::vector<int> all;
    for (int i = 0; i < n_embd; i++) {
        all.push_back(i);
    }
    const std::vector<int> shared = random.choose(all, 2);
    std::vector<int> others;
    for (int i : all) {
        if (i != shared[0] && i != shared[1]) others.push_back(i);
    }
    // About 1 % of the channels, the two shared ones included. nearbyint: ties to even, as in Python.
    const int n_own = std::max(1, int(std::nearbyint(n_embd * 0.01)) - 2);

    std::vector<outlier_set> sets;
    auto add = [&](const std::string & vector, std::vector<std::string> matrices) {
        outlier_set set{vector, std::move(matrices), shared, {}};
        for (int channel : random.choose(others, n_own)) {
            set.channels.push_back(channel);
        }
        const double low = std::log(20.0), high = std::log(60.0);
        for (size_t i = 0; i < set.channels.size(); i++) {
            set.factors.push_back(std::exp(low + (high - low) * random.uniform()));
        }
        sets.push_back(std::move(set));
    };
    for (int layer = 0; layer < n_layers; layer++) {
        const std::string b = "blk." + std::to_string(layer) + ".";
        add(b + "attn_norm.weight", {b + "attn_q.weight", b + "attn_k.weight", b + "attn_v.weight"});
        add(b + "ffn_norm.weight", {b + "ffn_gate.weight", b + "ffn_up.weight"});
        if (!has_experts) continue;
        add(b + "pre_ffw_norm_2.weight", {b + "ffn_gate_up_exps.weight"});
        add(b + "ffn_gate_inp.scale", {b + "ffn_gate_inp.weight"}); // the router's norm has no weight, but this scale
    }
    return sets;
}

} // namespace rknpu
