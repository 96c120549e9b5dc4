// Faults on purpose: RKNN_EMU_FAULTS, a list such as "seed=7,alloc=0.1,run-error=0.01,alloc@3,hang@9,create@2+".
//
// Invariant: whether the n-th call of a kind fails depends on the list and on n alone, never on time or on threads, so
// a run with the same calls has the same faults. Not modelled: faults that come in bursts, or that depend on heat or
// data.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace rknn_emu {

enum class fault { create, alloc, bind, sync, run_error, run_timeout, hang, wrong };
constexpr int n_faults = 8;
const char * fault_name(fault kind);

class fault_rules {
public:
    // False when a word of the list is not understood; a line has then been logged.
    bool parse(const char * list);
    // Does the n-th (1-based) call of this kind fail?
    bool fires(fault kind, uint64_t n) const;
    uint64_t seed() const { return seed_; }

private:
    struct rule {
        fault kind;
        double probability; // used when first == 0
        uint64_t first;     // 1-based count of calls
        bool onward;        // from first on, not only at first
    };
    bool parse_word(const char * begin, const char * end);

    uint64_t seed_ = 0;
    std::vector<rule> rules_;
};

// Counts one call of this kind and says whether it is to fail. *n, if given, receives the count.
bool fault_fires(fault kind, uint64_t * n = nullptr);

// A number from (seed, stream, n) that looks random: splitmix64's finisher.
uint64_t fault_hash(uint64_t seed, uint64_t stream, uint64_t n);

} // namespace rknn_emu
