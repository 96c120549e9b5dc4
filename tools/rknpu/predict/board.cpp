// See board.h. Sources:
//   theoretical bandwidths of LPDDR5-4800 x64 38.4 GB/s: Mojo24x7/rk-llama.cpp (ROCK 5B+); LPDDR4x-4266 34 GB/s: Radxa
//   forum 19293. Clock of the A76: 2.35 GHz pinned by unimatrix099/rk-llama.cpp (Orange Pi 5 Ultra), 2.352 GHz in the
//   vendor's script of rknn-llm v1.3.0. Boards sold with each memory: their makers' pages.
#include "predict/board.h"

#include "base/near-name.h"

#include <algorithm>

namespace rknpu {

namespace {

constexpr double lpddr5_4800 = 38.4, lpddr4x_4266 = 34.1;
// The published runs that the chip table's bandwidths come from were on LPDDR5-4800 (chip.cpp, [U]). On LPDDR5-6400
// (51.2 GB/s) marfrit/rk-llama.cpp saw the NPU stream no faster, about 28 GB/s while decoding.
constexpr double reference_gb_s = lpddr5_4800;
constexpr const char * orange_pi_5_plus = "Orange Pi 5, 5 Plus and 5B, ROCK 5B: LPDDR4X";
constexpr const char * orange_pi_5_ultra = "Orange Pi 5 Ultra and 5 Max, ROCK 5B+, ROCK 5T: LPDDR5";

} // namespace

const std::vector<board> & known_boards() {
    static const std::vector<board> table = {
        {"rk3588-4g-lpddr4x", "RK3588, 4 GB LPDDR4X-4266", "rk3588", 4, lpddr4x_4266, 2.35, orange_pi_5_plus},
        {"rk3588-8g-lpddr4x", "RK3588, 8 GB LPDDR4X-4266", "rk3588", 8, lpddr4x_4266, 2.35, orange_pi_5_plus},
        {"rk3588-16g-lpddr4x", "RK3588, 16 GB LPDDR4X-4266", "rk3588", 16, lpddr4x_4266, 2.35, orange_pi_5_plus},
        {"rk3588-32g-lpddr4x", "RK3588, 32 GB LPDDR4X-4266", "rk3588", 32, lpddr4x_4266, 2.35, orange_pi_5_plus},
        {"rk3588-4g-lpddr5", "RK3588, 4 GB LPDDR5-4800", "rk3588", 4, lpddr5_4800, 2.35, orange_pi_5_ultra},
        {"rk3588-8g-lpddr5", "RK3588, 8 GB LPDDR5-4800", "rk3588", 8, lpddr5_4800, 2.35, orange_pi_5_ultra},
        {"rk3588-16g-lpddr5", "RK3588, 16 GB LPDDR5-4800", "rk3588", 16, lpddr5_4800, 2.35, orange_pi_5_ultra},
        {"rk3588-32g-lpddr5", "RK3588, 32 GB LPDDR5-4800", "rk3588", 32, lpddr5_4800, 2.35, orange_pi_5_ultra},
    };
    return table;
}

result<const board *> find_board(const std::string & name) {
    std::vector<std::string> names;
    std::string listed;
    for (const board & b : known_boards()) {
        if (name == b.name) return &b;
        names.push_back(b.name);
        listed += (listed.empty() ? "" : ", ") + names.back();
    }
    const std::string near = near_name(names, name, name.size() / 2);
    return status(errc::invalid_argument, "board '" + name + "' is not known; use one of " + listed +
                                              (near.empty() ? "" : "; did you mean " + near + "?"));
}

double memory_factor(const board & b) {
    return std::min(1.0, b.dram_gb_s / reference_gb_s);
}

} // namespace rknpu
