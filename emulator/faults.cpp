// Reading and applying the list of faults; see faults.h.
#include "faults.h"

#include "log.h"
#include "settings.h"
#include "stats.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace rknn_emu {

namespace {

const char * const names[n_faults] = {"create", "alloc", "bind", "sync", "run-error", "run-timeout", "hang", "wrong"};

bool find_fault(const std::string & name, fault & kind) {
    for (int i = 0; i < n_faults; i++) {
        if (name != names[i]) continue;
        kind = fault(i);
        return true;
    }
    return false;
}

bool whole_number(const std::string & text, uint64_t & value) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos || text.size() > 18) return false;
    value = std::strtoull(text.c_str(), nullptr, 10);
    return true;
}

} // namespace

const char * fault_name(fault kind) {
    return names[int(kind)];
}

uint64_t fault_hash(uint64_t seed, uint64_t stream, uint64_t n) {
    uint64_t x = (seed * n_faults + stream) * 0x9e3779b97f4a7c15u + n * 0xd1342543de82ef95u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

bool fault_rules::parse_word(const char * begin, const char * end) {
    const std::string word(begin, end);
    const size_t cut = word.find_first_of("=@");
    if (cut == std::string::npos) return false;
    const std::string name = word.substr(0, cut);
    std::string value = word.substr(cut + 1);
    if (name == "seed" && word[cut] == '=') return whole_number(value, seed_);
    rule r{};
    if (!find_fault(name, r.kind) || value.empty()) return false;
    if (word[cut] == '=') {
        char * rest = nullptr;
        r.probability = std::strtod(value.c_str(), &rest);
        if (*rest != '\0' || !(r.probability >= 0 && r.probability <= 1)) return false;
    } else {
        r.onward = value.back() == '+';
        if (r.onward) value.pop_back();
        if (!whole_number(value, r.first) || r.first == 0) return false;
    }
    rules_.push_back(r);
    return true;
}

bool fault_rules::parse(const char * list) {
    for (const char * begin = list; *begin;) {
        const char * end = begin + std::strcspn(begin, ",");
        if (!parse_word(begin, end)) {
            log_always("RKNN_EMU_FAULTS: cannot understand '%.*s'", int(end - begin), begin);
            return false;
        }
        begin = *end ? end + 1 : end;
    }
    return true;
}

bool fault_rules::fires(fault kind, uint64_t n) const {
    for (size_t i = 0; i < rules_.size(); i++) {
        const rule & r = rules_[i];
        if (r.kind != kind) continue;
        if (r.first != 0) {
            if (r.onward ? n >= r.first : n == r.first) return true;
        } else if (double(fault_hash(seed_, uint64_t(kind), n) >> 11) * 0x1p-53 < r.probability) {
            return true;
        }
    }
    return false;
}

bool fault_fires(fault kind, uint64_t * n) {
    static std::atomic<uint64_t> calls[n_faults];
    const uint64_t count = ++calls[int(kind)];
    if (n) *n = count;
    if (!config().faults.fires(kind, count)) return false;
    stats().faults_fired++;
    log_error("fault injected: %s, call %llu", fault_name(kind), static_cast<unsigned long long>(count));
    return true;
}

} // namespace rknn_emu
